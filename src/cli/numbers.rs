//! Parsers for the numbers of flags: they refuse what is not a number, not finite or out of range, with a message.

/// Parses a finite number for which `holds` is true; `expected` describes those numbers in the message.
pub(super) fn real(text: &str, holds: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number.is_finite() && holds(number));
    number.ok_or_else(|| format!("expected {expected}"))
}

/// Parses a time in seconds, 0 or more.
pub(super) fn moment(text: &str) -> Result<f64, String> {
    real(text, |seconds| seconds >= 0.0, "seconds, 0 or more")
}
