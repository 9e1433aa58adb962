//! Fréchet distance between two sets of features, each modelled as a normal distribution (Heusel et al. 2017).

/// Features, with a row for each picture.
pub type Rows = Vec<Vec<f64>>;

/// ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2·√(Σ₁Σ₂)), with covariances over n − 1, of features with a row for each picture.
///
/// With centred features A and B, divided by √(n − 1), Σ₁ = AᵀA and Σ₂ = BᵀB, and the root's trace is the sum of the
/// singular values of A·Bᵀ. That is a matrix of pictures by pictures, not of features by features, and no imaginary
/// part can arise.
pub fn distance(first: &Rows, second: &Rows) -> f64 {
    let ((mean_a, a), (mean_b, b)) = (centred(first), centred(second));
    let product: Rows = a.iter().map(|row| b.iter().map(|other| dot(row, other)).collect()).collect();
    let squares = |rows: &Rows| rows.iter().map(|row| dot(row, row)).sum::<f64>();
    let apart: f64 = mean_a.iter().zip(&mean_b).map(|(a, b)| (a - b).powi(2)).sum();
    apart + squares(&a) + squares(&b) - 2.0 * singular_values(product).into_iter().sum::<f64>()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean row, and the rows minus the mean, divided by √(n − 1).
fn centred(rows: &Rows) -> (Vec<f64>, Rows) {
    let width = rows.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..width).map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64).collect();
    let root = (rows.len().saturating_sub(1).max(1) as f64).sqrt();
    let left = rows.iter().map(|row| row.iter().zip(&mean).map(|(x, mean)| (x - mean) / root).collect()).collect();
    (mean, left)
}

/// Singular values by one-sided Jacobi rotations (Hestenes 1958): pairs of rows are rotated until all rows are
/// orthogonal; their lengths are then the singular values.
fn singular_values(mut rows: Rows) -> Vec<f64> {
    const SWEEPS: usize = 60;
    for _ in 0..SWEEPS {
        let mut is_turned = false;
        for i in 1..rows.len() {
            let (before, after) = rows.split_at_mut(i);
            let second = &mut after[0];
            for first in before {
                let (a, b, c) = (dot(first, first), dot(second, second), dot(first, second));
                if c.abs() <= 1e-14 * (a * b).sqrt() {
                    continue;
                }
                is_turned = true;
                let ratio = (b - a) / (2.0 * c);
                let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                for (x, y) in first.iter_mut().zip(second.iter_mut()) {
                    (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                }
            }
        }
        if !is_turned {
            break;
        }
    }
    rows.iter().map(|row| dot(row, row).sqrt()).collect()
}
