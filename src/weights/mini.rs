//! The two small models inside the program, for trying it without a download.

/// The bundled frame encoder (safetensors, made by `scripts/make_mini.py`).
pub const MINI_DINOV2: &[u8] = include_bytes!("../../assets/mini/dinov2.safetensors");

/// The bundled LiFT of matching width.
pub const MINI_LIFT: &[u8] = include_bytes!("../../assets/mini/lift.safetensors");

/// Said whenever a bundled model is used.
pub const MINI_NOTE: &str = "the bundled mini model is for trying the tool, not for results";
