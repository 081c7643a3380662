//! The cubic convolution kernel, by which pictures and position tables are resampled.

/// The cubic convolution kernel with a = -0.5 (Keys 1981, equation 4), which PyTorch and Pillow use with antialiasing.
///
/// `x` is the distance from the centre in samples; the kernel is zero from 2 on.
pub fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
