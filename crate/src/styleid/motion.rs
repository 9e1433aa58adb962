//! Motion between two frames of a film, by block matching, and a painted frame that follows it.
//!
//! Artistic Style Transfer for Videos (Ruder et al. 2016) and Rerender A Video (Yang et al. 2023) move a painted frame likewise
//! where its motion is certain. Averaged with a new one it would lose its strokes, so one or the other is taken.

use image::{Rgb, RgbImage};

/// Side of a block in pixels.
const BLOCK: usize = 8;
/// Pixels around a block that are matched with it.
const MARGIN: usize = 4;
/// Side of what is matched.
const WINDOW: usize = BLOCK + 2 * MARGIN;
/// Fastest motion that is found, in pixels a frame along an axis.
const REACH: i32 = 16;
/// Candidates along an axis.
const CANDIDATES: usize = 2 * REACH as usize + 1;
/// What a pixel's distance from the motion nearby costs, in levels of brightness over the window: in flat areas any motion
/// matches.
const STRAY: u32 = 48;
/// Mean difference of a pixel's colours, in levels, up to which its motion is certain, and from which on it is not known.
const CERTAIN: f32 = 4.0;
const UNKNOWN: f32 = 12.0;

/// Local contrast of the moved result, of that of the painted frame, up to which it is too blurred to be used, and from which
/// on it is as good as new. Moving by parts of a pixel blurs a little every time.
const BLURRED: f32 = 0.95;
const SHARP: f32 = 1.1;

/// `result`, made of the photo `before`, moved as the photo `now` differs from that where the motion is certain, and `painted`
/// elsewhere. All have one size.
pub fn follow(before: &RgbImage, now: &RgbImage, result: &RgbImage, painted: RgbImage) -> RgbImage {
    let motion = Motion::between(before, now);
    let (width, height) = now.dimensions();
    let mut moved = RgbImage::new(width, height);
    let mut shares = vec![0.0f32; (width * height) as usize];
    for ((x, y, pixel), share) in moved.enumerate_pixels_mut().zip(&mut shares) {
        let [right, down] = motion.at(x as usize, y as usize);
        let from = [x as f32 + right, y as f32 + down];
        *pixel = Rgb(sharp(result, from).map(|value| value.round().clamp(0.0, 255.0) as u8));
        if (0.0..=width as f32 - 1.0).contains(&from[0]) && (0.0..=height as f32 - 1.0).contains(&from[1]) {
            let then = sharp(before, from);
            let differences = now.get_pixel(x, y).0.iter().zip(then).map(|(now, then)| (f32::from(*now) - then).abs());
            *share = ((UNKNOWN - differences.sum::<f32>() / 3.0) / (UNKNOWN - CERTAIN)).clamp(0.0, 1.0);
        }
    }
    let size = [width as usize, height as usize];
    let mut shares = lowest(&shares, size);
    shares = mean(&shares, size, AROUND);
    let contrasts: Vec<f32> =
        contrast(&moved).into_iter().zip(contrast(&painted)).map(|(moved, painted)| moved / painted.max(0.5)).collect();
    for (share, contrast) in shares.iter_mut().zip(&contrasts) {
        *share *= ((contrast - BLURRED) / (SHARP - BLURRED)).clamp(0.0, 1.0);
    }
    sharpen(&mut moved, &contrasts);
    let shares = mean(&shares, size, AROUND);
    let mut out = painted;
    for ((out, moved), share) in out.pixels_mut().zip(moved.pixels()).zip(shares) {
        for (out, moved) in out.0.iter_mut().zip(moved.0) {
            *out = (f32::from(moved) * share + f32::from(*out) * (1.0 - share)).round() as u8;
        }
    }
    out
}

/// Pixels around one that are looked at together.
const AROUND: usize = 3;
/// Pixels around one whose mean is taken off, to see its strokes alone.
const STROKE: usize = 1;

/// `of` over a window of so many pixels `around` each, along one axis and then along the other.
fn windowed(
    values: &[f32],
    [width, height]: [usize; 2],
    around: usize,
    of: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Vec<f32> {
    let along = |values: &[f32], at: usize, most: usize, step: usize| {
        let (first, last) = (at.saturating_sub(around), (at + around).min(most - 1));
        of(&mut (first..=last).map(|i| values[i * step]))
    };
    let rows: Vec<f32> = (0..values.len()).map(|i| along(&values[i / width * width..], i % width, width, 1)).collect();
    (0..values.len()).map(|i| along(&rows[i % width..], i / width, height, width)).collect()
}

fn lowest(values: &[f32], size: [usize; 2]) -> Vec<f32> {
    windowed(values, size, AROUND, |window| window.fold(1.0, f32::min))
}

fn mean(values: &[f32], size: [usize; 2], around: usize) -> Vec<f32> {
    windowed(values, size, around, |window| {
        let (sum, count) = window.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        sum / count
    })
}

/// Gives the strokes back the contrast that moving has blurred: `contrasts` are the picture's of those that they should be.
fn sharpen(picture: &mut RgbImage, contrasts: &[f32]) {
    let size = [picture.width() as usize, picture.height() as usize];
    for channel in 0..3 {
        let values: Vec<f32> = picture.pixels().map(|pixel| f32::from(pixel.0[channel])).collect();
        for ((pixel, mean), contrast) in picture.pixels_mut().zip(mean(&values, size, STROKE)).zip(contrasts) {
            let gain = (1.0 / contrast.max(BLURRED)).clamp(1.0, 1.0 / BLURRED);
            let value = &mut pixel.0[channel];
            *value = (mean + (f32::from(*value) - mean) * gain).round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Contrast of the strokes around each pixel: the root mean square of what is finer than a few pixels, in levels.
fn contrast(picture: &RgbImage) -> Vec<f32> {
    let size = [picture.width() as usize, picture.height() as usize];
    let light: Vec<f32> = picture.pixels().map(|pixel| f32::from(brightness(*pixel))).collect();
    let fine = light.iter().zip(mean(&light, size, STROKE)).map(|(value, mean)| (value - mean) * (value - mean));
    mean(&fine.collect::<Vec<_>>(), size, AROUND).into_iter().map(f32::sqrt).collect()
}

/// A picture's colours between its pixels, by cubic convolution (Keys 1981, a = −1/2); those of its border outside.
fn sharp(picture: &RgbImage, [x, y]: [f32; 2]) -> [f32; 3] {
    let weights = |part: f32| {
        let near = |t: f32| (1.5 * t - 2.5) * t * t + 1.0;
        let far = |t: f32| ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0;
        [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)]
    };
    let (across, along) = (weights(x - x.floor()), weights(y - y.floor()));
    let inside = |at: i64, most: u32| at.clamp(0, i64::from(most) - 1) as u32;
    let mut colours = [0.0; 3];
    for (row, &along) in along.iter().enumerate() {
        for (column, &across) in across.iter().enumerate() {
            if along * across == 0.0 {
                continue;
            }
            let right = inside(x.floor() as i64 + column as i64 - 1, picture.width());
            let down = inside(y.floor() as i64 + row as i64 - 1, picture.height());
            for (sum, value) in colours.iter_mut().zip(picture.get_pixel(right, down).0) {
                *sum += along * across * f32::from(value);
            }
        }
    }
    colours
}

/// The brightness of a pixel, 0 to 255 (Rec. 601).
fn brightness(Rgb(colours): Rgb<u8>) -> u8 {
    let [red, green, blue] = colours.map(u32::from);
    ((77 * red + 150 * green + 29 * blue) >> 8) as u8
}

/// Where each block was in the frame before, relative to where it is now, in pixels.
struct Motion {
    blocks: Vec<[f32; 2]>,
    columns: usize,
    rows: usize,
}

impl Motion {
    fn between(before: &RgbImage, now: &RgbImage) -> Self {
        let reach = REACH as usize + MARGIN;
        let (then, now_plane) = (Plane::new(before, reach), Plane::new(now, MARGIN));
        let columns = (now.width() as usize).div_ceil(BLOCK);
        let rows = (now.height() as usize).div_ceil(BLOCK);
        let costs: Vec<Vec<u32>> = (0..rows * columns)
            .map(|block| {
                let (x, y) = (block % columns * BLOCK, block / columns * BLOCK);
                let candidates = (0..CANDIDATES).flat_map(|down| (0..CANDIDATES).map(move |right| (right, down)));
                candidates.map(|(right, down)| difference(&now_plane, [x, y], &then, [x + right, y + down])).collect()
            })
            .collect();
        let common = most_common(&costs);
        let mut found: Vec<[i32; 2]> = Vec::with_capacity(costs.len());
        for (block, costs) in costs.iter().enumerate() {
            let left = if block % columns > 0 { found[block - 1] } else { common };
            let above = if block >= columns { found[block - columns] } else { common };
            let near = [0, 1].map(|axis| median([left[axis], above[axis], common[axis]]));
            let stray = |index: usize| {
                let [right, down] = motion_of(index);
                let distance = (right - near[0]).unsigned_abs() + (down - near[1]).unsigned_abs();
                costs[index] + STRAY * distance
            };
            found.push(motion_of((0..costs.len()).min_by_key(|&index| stray(index)).unwrap_or_default()));
        }
        let blocks = found.iter().zip(&costs).map(|(&motion, costs)| refined(motion, costs)).collect();
        Self { blocks, columns, rows }
    }

    /// The motion of a pixel, between those of the blocks around it.
    fn at(&self, x: usize, y: usize) -> [f32; 2] {
        let along = |at: usize, most: usize| {
            let at = ((at as f32 + 0.5) / BLOCK as f32 - 0.5).clamp(0.0, most as f32 - 1.0);
            let first = at as usize;
            (first, (first + 1).min(most - 1), at - first as f32)
        };
        let ((left, right, x), (top, bottom, y)) = (along(x, self.columns), along(y, self.rows));
        let block = |column: usize, row: usize, axis: usize| self.blocks[row * self.columns + column][axis];
        [0, 1].map(|axis| {
            let upper = block(left, top, axis) * (1.0 - x) + block(right, top, axis) * x;
            let lower = block(left, bottom, axis) * (1.0 - x) + block(right, bottom, axis) * x;
            upper * (1.0 - y) + lower * y
        })
    }
}

/// A candidate's motion, right and down.
fn motion_of(index: usize) -> [i32; 2] {
    [(index % CANDIDATES) as i32 - REACH, (index / CANDIDATES) as i32 - REACH]
}

fn median([a, b, c]: [i32; 3]) -> i32 {
    a.max(b).min(a.min(b).max(c))
}

/// The motion that most blocks match best.
fn most_common(costs: &[Vec<u32>]) -> [i32; 2] {
    let mut votes = vec![0u32; CANDIDATES * CANDIDATES];
    for costs in costs {
        let best = (0..costs.len()).min_by_key(|&index| costs[index]);
        // A block that matches anything as well has no vote.
        if let Some(best) = best.filter(|&best| costs.iter().filter(|&&cost| cost <= costs[best] + STRAY).count() < 9) {
            votes[best] += 1;
        }
    }
    let centre = votes.len() / 2;
    let most = (0..votes.len()).max_by_key(|&index| (votes[index], index == centre)).unwrap_or(centre);
    motion_of(most)
}

/// The motion to a fraction of a pixel: the lowest point of a parabola through the costs beside it.
fn refined([right, down]: [i32; 2], costs: &[u32]) -> [f32; 2] {
    let cost = |right: i32, down: i32| {
        let [column, row] = [right, down].map(|at| usize::try_from(at + REACH).ok().filter(|&at| at < CANDIDATES));
        Some(f64::from(costs[row? * CANDIDATES + column?]))
    };
    let offset = |before: Option<f64>, after: Option<f64>| {
        let (Some(before), Some(at), Some(after)) = (before, cost(right, down), after) else { return 0.0 };
        let bend = before - 2.0 * at + after;
        // What matches exactly lies where it is.
        if bend <= 0.0 || at == 0.0 { 0.0 } else { ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5) }
    };
    [
        right as f32 + offset(cost(right - 1, down), cost(right + 1, down)) as f32,
        down as f32 + offset(cost(right, down - 1), cost(right, down + 1)) as f32,
    ]
}

/// Brightness, with the picture's border repeated around it.
struct Plane {
    values: Vec<u8>,
    stride: usize,
}

impl Plane {
    /// With `border` pixels at the left and the top, and as many at least at the right and the bottom.
    fn new(picture: &RgbImage, border: usize) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let side = |side: usize| side.next_multiple_of(BLOCK) + 2 * border;
        let (stride, rows) = (side(width), side(height));
        let inside = |at: usize, most: usize| at.saturating_sub(border).min(most - 1) as u32;
        let mut values = Vec::with_capacity(stride * rows);
        for y in 0..rows {
            for x in 0..stride {
                values.push(brightness(*picture.get_pixel(inside(x, width), inside(y, height))));
            }
        }
        Self { values, stride }
    }
}

/// Sum of absolute differences of a window of `a` and one of `b`, by their first columns and rows.
fn difference(a: &Plane, [ax, ay]: [usize; 2], b: &Plane, [bx, by]: [usize; 2]) -> u32 {
    (0..WINDOW)
        .map(|y| {
            let row = |plane: &Plane, left: usize, top: usize| (top + y) * plane.stride + left;
            let (a_row, b_row) = (&a.values[row(a, ax, ay)..][..WINDOW], &b.values[row(b, bx, by)..][..WINDOW]);
            a_row.iter().zip(b_row).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with forms of several sizes, moved by so many pixels.
    fn picture(right: i32, down: i32) -> RgbImage {
        RgbImage::from_fn(96, 80, |x, y| {
            let (x, y) = ((x as i32 - right) as f32, (y as i32 - down) as f32);
            let wave = |a: f32, b: f32| 128.0 + 100.0 * (x * a + y * b).sin() * (y * a * 0.7 - x * b).cos();
            Rgb([wave(0.31, 0.13) as u8, wave(0.11, 0.4) as u8, wave(0.23, 0.05) as u8])
        })
    }

    /// Something painted that has strokes everywhere.
    fn strokes() -> RgbImage {
        RgbImage::from_fn(96, 80, |x, y| Rgb([(x * 37 + y * 11) as u8, (x * 61) as u8, (y * 53 + x * 3) as u8]))
    }

    fn painted() -> RgbImage {
        RgbImage::from_fn(96, 80, |x, y| Rgb([128 + ((x + y) % 2) as u8; 3]))
    }

    #[test]
    fn a_painted_frame_moves_as_the_photos_do() {
        for (right, down) in [(0, 0), (6, 0), (-5, 3), (11, -9)] {
            let moved = follow(&picture(0, 0), &picture(right, down), &strokes(), painted());
            let mut known = 0;
            for (x, y, pixel) in moved.enumerate_pixels() {
                let (from_x, from_y) = (x as i32 - right, y as i32 - down);
                // Away from what the frame before did not show.
                let is_inside = |x: i32, y: i32| (28..68).contains(&x) && (28..52).contains(&y);
                if is_inside(x as i32, y as i32) && is_inside(from_x, from_y) {
                    assert_eq!(pixel, strokes().get_pixel(from_x as u32, from_y as u32), "{right}, {down} at {x}, {y}");
                    known += 1;
                }
            }
            assert!(known > 100);
        }
    }

    #[test]
    fn what_was_not_there_is_painted_anew() {
        let mut now = picture(0, 0);
        for (_, _, pixel) in now.enumerate_pixels_mut().filter(|(x, y, _)| (20..44).contains(x) && (12..36).contains(y))
        {
            *pixel = Rgb([255, 0, 255]);
        }
        let moved = follow(&picture(0, 0), &now, &strokes(), painted());
        assert_eq!(moved.get_pixel(32, 24), painted().get_pixel(32, 24));
        assert_eq!(moved.get_pixel(80, 70), strokes().get_pixel(80, 70));
    }

    #[test]
    fn what_has_lost_its_strokes_is_painted_anew() {
        let blurred = RgbImage::from_pixel(96, 80, Rgb([100; 3]));
        assert_eq!(follow(&picture(0, 0), &picture(0, 0), &blurred, strokes()), strokes());
        assert_eq!(follow(&picture(0, 0), &picture(0, 0), &strokes(), painted()), strokes());
        let weaker = RgbImage::from_fn(96, 80, |x, y| {
            Rgb(strokes().get_pixel(x, y).0.map(|value| (128.0 + 0.8 * (f32::from(value) - 128.0)) as u8))
        });
        let again = follow(&picture(0, 0), &picture(0, 0), &weaker, strokes());
        let [weak, sharp, full] = [&weaker, &again, &strokes()].map(|picture| contrast(picture)[24 * 96 + 32]);
        assert!(weak < 0.85 * full && sharp > 0.95 * full, "{weak} {sharp} {full}");
    }

    #[test]
    fn flat_areas_move_with_what_is_around_them() {
        let frame = |right: i32| {
            RgbImage::from_fn(
                96,
                48,
                |x, y| if y < 24 { Rgb([90; 3]) } else { *picture(right, 0).get_pixel(x % 64, y) },
            )
        };
        let motion = Motion::between(&frame(0), &frame(5));
        let [right, down] = motion.at(20, 8);
        assert!((right + 5.0).abs() < 0.6 && down.abs() < 0.6, "{right}, {down}");
    }
}
