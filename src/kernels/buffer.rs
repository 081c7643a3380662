//! Memory for weights and intermediates: aligned to a cache line, zeroed, in huge pages where the system has them.

use std::ops::{Deref, DerefMut};

/// A cache line, and the widest vector.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// From this many bytes on, huge pages save more than they waste.
const HUGE: usize = 2 << 20;

/// f32 in memory that starts on a cache line.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        // Untouched memory until written, so the advice comes before the first page fault.
        let mut lines: Vec<Line> = bytemuck::zeroed_vec(len.div_ceil(16));
        advise_huge(&mut lines);
        Self { lines, len }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({})", self.len)
    }
}

#[cfg(target_os = "linux")]
fn advise_huge(lines: &mut [Line]) {
    const PAGE: usize = 4096;
    let bytes = std::mem::size_of_val(lines);
    if bytes < HUGE {
        return;
    }
    let start = (lines.as_mut_ptr() as usize).next_multiple_of(PAGE);
    let end = (lines.as_ptr() as usize + bytes) / PAGE * PAGE;
    // SAFETY: the pages lie inside this allocation, and the advice changes how they are backed, not what they hold.
    // Its result does not matter: without huge pages everything still works.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge(lines: &mut [Line]) {
    let _ = (lines, HUGE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_cache_line_and_holds_zeros() {
        for len in [0, 1, 17, HUGE / 4 + 3] {
            let buffer = Buffer::zeros(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|&x| x == 0.0));
        }
    }
}
