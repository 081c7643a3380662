//! The cubic convolution kernel, by which pictures and position tables are resampled.

/// The parameter with which PyTorch and Pillow use the kernel with antialiasing.
pub const ANTIALIASED: f64 = -0.5;

/// The parameter with which PyTorch uses it without.
pub const PLAIN: f64 = -0.75;

/// The cubic convolution kernel with the parameter `a` (Keys 1981, equation 4).
///
/// `x` is the distance from the centre in samples; the kernel is zero from 2 on.
pub fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}
