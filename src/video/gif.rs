//! Whether a GIF is whole: its blocks from the first to the trailer, and for every image whether its data give all its pixels.
//!
//! FFmpeg's versions differ in what they tell of a broken GIF: some read a cut one to a plain end, some stop at a hole and take what
//! came before it for all there is. So the file is read once more here, by the specification (GIF89a, sections 15 to 27 and
//! appendix F), and pixels are counted without making any.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// FFmpeg's name of the format.
pub const CONTAINER: &str = "gif";

/// What is wrong with a GIF, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The end is missing.
    Cut(String),
    /// Something before the end is broken.
    Damaged(String),
}

/// The first fault of the GIF at `path`, of which FFmpeg read so many images.
pub fn fault(path: &Path, read: usize) -> Option<Fault> {
    match images(path) {
        Ok(images) if images == read => None,
        Ok(images) => Some(Fault::Damaged(format!("it holds {images} images, and FFmpeg reads {read}"))),
        Err(fault) => Some(fault),
    }
}

/// Counts the images of a GIF.
///
/// # Errors
/// The first fault. A file that cannot be read has one too: its end is not to be had.
fn images(path: &Path) -> Result<usize, Fault> {
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    match File::open(path) {
        Ok(file) => Walk { file: BufReader::new(file), at: 0, length, images: 0 }.run(),
        Err(cause) => Err(Fault::Cut(format!("it cannot be read again: {cause}"))),
    }
}

/// The way through a file.
struct Walk<R> {
    file: R,
    /// Bytes read.
    at: u64,
    /// Bytes of the file.
    length: u64,
    images: usize,
}

impl<R: Read> Walk<R> {
    fn run(mut self) -> Result<usize, Fault> {
        // Signature and version, then the screen.
        let head: [u8; 13] = self.bytes()?;
        self.skip_colours(head[10])?;
        loop {
            let start = self.at;
            match self.bytes::<1>()?[0] {
                b'!' => {
                    self.bytes::<1>()?;
                    while self.sub_block()?.is_some() {}
                }
                b',' => self.image()?,
                b';' => return Ok(self.images),
                other => {
                    return Err(Fault::Damaged(format!(
                        "at byte {start} a block should begin, and there is {other:#04x} (after image {})",
                        self.images
                    )));
                }
            }
        }
    }

    fn image(&mut self) -> Result<(), Fault> {
        let head: [u8; 9] = self.bytes()?;
        let side = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let pixels = side(4) * side(6);
        self.skip_colours(head[8])?;
        let [bits] = self.bytes()?;
        self.images += 1;
        let mut count = Count::new(bits);
        while let Some(data) = self.sub_block()? {
            data.iter().for_each(|&byte| count.byte(byte));
        }
        // What follows the last pixel is of no account.
        if count.pixels >= pixels {
            return Ok(());
        }
        let why = if count.broken { "hold a code without a meaning" } else { "end" };
        Err(Fault::Damaged(format!(
            "the data of its image {} {why} after {} of {pixels} pixels",
            self.images, count.pixels
        )))
    }

    /// The next sub-block's data; `None` at the terminator.
    fn sub_block(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let [size] = self.bytes()?;
        let mut data = vec![0; usize::from(size)];
        self.fill(&mut data)?;
        Ok((size > 0).then_some(data))
    }

    /// Steps over a colour table, if the flags say that one follows.
    fn skip_colours(&mut self, flags: u8) -> Result<(), Fault> {
        let mut table = vec![0; if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }];
        self.fill(&mut table)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::Cut(format!(
                "the file ends at byte {} without a GIF's trailer (in or after image {})",
                self.length, self.images
            ))),
            Err(cause) => Err(Fault::Cut(format!("it cannot be read beyond byte {}: {cause}", self.at))),
        }
    }
}

/// Counts the pixels that an image's LZW codes stand for (GIF89a, appendix F).
struct Count {
    /// Bits of the codes for single pixels.
    least: u8,
    /// Bits of the next code.
    width: u8,
    /// Bits not yet taken, the next one lowest.
    bits: u32,
    held: u8,
    /// Pixels that each known code stands for; the clear and the end code stand for none.
    lengths: Vec<u32>,
    last: Option<usize>,
    pixels: usize,
    /// The end code was there.
    ended: bool,
    /// A code had no meaning.
    broken: bool,
}

impl Count {
    /// Codes have at most so many bits.
    const MOST: u8 = 12;

    fn new(least: u8) -> Self {
        let broken = !(1..Self::MOST).contains(&least);
        let mut count = Self {
            least: if broken { 8 } else { least },
            width: 0,
            bits: 0,
            held: 0,
            lengths: Vec::with_capacity(1 << Self::MOST),
            last: None,
            pixels: 0,
            ended: false,
            broken,
        };
        count.clear();
        count
    }

    fn clear(&mut self) {
        self.lengths.clear();
        self.lengths.resize(1 << self.least, 1);
        // The clear code and the end code.
        self.lengths.extend([0, 0]);
        self.width = self.least + 1;
        self.last = None;
    }

    fn byte(&mut self, byte: u8) {
        self.bits |= u32::from(byte) << self.held;
        self.held += 8;
        while self.held >= self.width && !self.ended && !self.broken {
            let code = (self.bits & ((1 << self.width) - 1)) as usize;
            self.bits >>= self.width;
            self.held -= self.width;
            self.code(code);
        }
        if self.ended || self.broken {
            (self.bits, self.held) = (0, 0);
        }
    }

    fn code(&mut self, code: usize) {
        let clear = 1 << self.least;
        if code == clear {
            return self.clear();
        }
        if code == clear + 1 {
            self.ended = true;
            return;
        }
        let next = self.lengths.len();
        let length = match (self.lengths.get(code), self.last) {
            (Some(&length), _) => length,
            // The code that is being defined: the last one and its own first pixel again.
            (None, Some(last)) if code == next => self.lengths[last] + 1,
            _ => {
                self.broken = true;
                return;
            }
        };
        if let Some(last) = self.last.filter(|_| next < 1 << Self::MOST) {
            self.lengths.push(self.lengths[last] + 1);
            if self.lengths.len() == 1 << self.width && self.width < Self::MOST {
                self.width += 1;
            }
        }
        self.last = Some(code);
        self.pixels = self.pixels.saturating_add(length as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn check(bytes: &[u8]) -> Result<usize, Fault> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        images(file.path())
    }

    /// Three pictures of noise, large enough for codes of twelve bits and a clear code in the middle.
    fn noise() -> Vec<u8> {
        let mut bytes = Vec::new();
        let palette: Vec<u8> = (0..=255u8).flat_map(|level| [level; 3]).collect();
        let mut encoder = gif::Encoder::new(&mut bytes, 96, 80, &palette).unwrap();
        let mut state = 1u32;
        for _ in 0..3 {
            let pixels: Vec<u8> = (0..96 * 80)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8 & 0x3f
                })
                .collect();
            encoder.write_frame(&gif::Frame::from_indexed_pixels(96, 80, pixels, None)).unwrap();
        }
        drop(encoder);
        bytes
    }

    #[test]
    fn a_whole_gif_has_its_images_counted() {
        let whole = noise();
        assert_eq!(check(&whole), Ok(3));
        // Players stop at the trailer.
        assert_eq!(check(&[&whole[..], b"junk"].concat()), Ok(3));
    }

    #[test]
    fn a_gif_cut_anywhere_lacks_its_trailer() {
        let whole = noise();
        for length in (1..whole.len()).step_by(97).chain([whole.len() - 1]) {
            match check(&whole[..length]) {
                Err(Fault::Cut(words)) => assert!(words.contains(&format!("byte {length}")), "{words}"),
                other => panic!("cut at {length}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_hole_of_zeros_is_damage_wherever_it_is() {
        let whole = noise();
        // Behind the header and the palette.
        for start in (13 + 768 + 30..whole.len() - 600).step_by(331) {
            let mut holed = whole.clone();
            holed[start..start + 512].fill(0);
            assert!(check(&holed).is_err(), "at {start}");
        }
    }

    #[test]
    fn an_image_with_too_few_pixels_is_damage() {
        // A screen and an image of 2 x 1 and, in codes of three bits, clear, pixel 1, end: 100, 001, 101 from the lowest bit on.
        let gif = |codes: [u8; 2]| {
            let head = b"GIF89a\x02\0\x01\0\0\0\0,\0\0\0\0\x02\0\x01\0\0\x02\x02".to_vec();
            [&head[..], &codes, b"\0;"].concat()
        };
        let words = "the data of its image 1 end after 1 of 2 pixels";
        assert_eq!(check(&gif([0b0100_1100, 0b1])), Err(Fault::Damaged(words.into())));
        // Clear, pixel 1, pixel 1, and no end code.
        assert_eq!(check(&gif([0b0100_1100, 0b0])), Ok(1));
    }

    #[test]
    fn a_byte_that_begins_no_block_is_damage() {
        let mut whole = noise();
        let trailer = whole.len() - 1;
        whole[trailer] = 0;
        whole.push(b';');
        let words = format!("at byte {trailer} a block should begin, and there is 0x00 (after image 3)");
        assert_eq!(check(&whole), Err(Fault::Damaged(words)));
    }
}
