//! Numbers of flags: what is no number, not finite or out of range is refused in words, while the command line is parsed.

/// A finite number for which `holds` is true; `expected` says which those are.
pub(super) fn real(text: &str, holds: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number.is_finite() && holds(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

/// A moment: seconds, 0 or more.
pub(super) fn moment(text: &str) -> Result<f64, String> {
    real(text, |seconds| seconds >= 0.0, "seconds, 0 or more")
}
