//! Which pictures of AV1 nothing refers to, as the heads of their frames say (AV1 Bitstream & Decoding Process Specification, 5.3,
//! 5.5, 5.9.2).
//!
//! A frame passes everything on that later frames use (pixels, probabilities, motion, segments, film grain) through the eight slots
//! of reference frames. One that is shown and that refreshes no slot can be left out. Streams with layers, decoder models or frame
//! ids are decoded in full: what precedes the flags is then longer, and it is not read here.

/// What of a sequence header decides where the flags of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Each frame says for itself whether it has tools for screen content; otherwise whether all do.
    screen_content: Option<bool>,
    /// A frame with these tools says whether its motion is in whole pixels.
    integer_motion: bool,
    /// Bits of a frame's place in the order of showing.
    order_bits: u32,
}

/// Kinds of OBU (6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_GROUP: u8 = 4;
const METADATA: u8 = 5;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const PADDING: u8 = 15;

impl Sequence {
    /// The sequence header in the container's configuration record (`av1C`).
    pub fn of_record(extradata: &[u8]) -> Option<Self> {
        Self::of_packet(extradata.strip_prefix(&[0x81])?.get(3..)?)?
    }

    /// The sequence header in a packet, if there is one; the inner `None` is one that is not followed here.
    #[allow(clippy::option_option, reason = "no header leaves the one before valid, another kind does not")]
    pub fn of_packet(packet: &[u8]) -> Option<Option<Self>> {
        let mut units = Units(packet);
        let header = units.find_map(|unit| {
            unit.map_or(Some(&[][..]), |(kind, body)| (kind == SEQUENCE_HEADER).then_some(body))
        });
        header.map(Self::parse)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: body, at: 0 };
        let _profile = bits.take(3)?;
        let (_still, reduced) = (bits.take(1)?, bits.flag()?);
        if reduced {
            return None;
        }
        if bits.flag()? {
            // The time of a picture, then whether all last as long (and how long), then the decoder's model.
            bits.take(64)?;
            if bits.flag()? || bits.flag()? {
                return None;
            }
        }
        let delays = bits.flag()?;
        if bits.take(5)? != 0 {
            return None;
        }
        bits.take(12)?;
        if bits.take(5)? > 7 {
            bits.take(1)?;
        }
        if delays && bits.flag()? {
            bits.take(4)?;
        }
        let (width_bits, height_bits) = (bits.take(4)? as u32 + 1, bits.take(4)? as u32 + 1);
        bits.take(width_bits + height_bits)?;
        if bits.flag()? {
            return None;
        }
        // Blocks of 128 pixels, two filters of intra prediction, four tools of inter prediction.
        bits.take(3 + 4)?;
        let ordered = bits.flag()?;
        if ordered {
            bits.take(2)?;
        }
        let screen_content = if bits.flag()? { None } else { Some(bits.flag()?) };
        // A frame says it where the header leaves the choice to it.
        let integer_motion = match screen_content {
            Some(false) => false,
            _ if bits.flag()? => true,
            _ => {
                bits.take(1)?;
                false
            }
        };
        let order_bits = if ordered { bits.take(3)? as u32 + 1 } else { 0 };
        Some(Self { screen_content, integer_motion, order_bits })
    }

    /// Whether the packet holds one frame, which is shown and refreshes no reference.
    pub fn is_unreferenced(&self, packet: &[u8]) -> bool {
        let mut found = None;
        for unit in Units(packet) {
            match unit {
                Some((FRAME | FRAME_HEADER, body)) if found.is_none() => {
                    found = Some(self.keeps_nothing(body))
                }
                Some((TEMPORAL_DELIMITER | TILE_GROUP | METADATA | PADDING, _)) => {}
                _ => return false,
            }
        }
        found.flatten().unwrap_or(false)
    }

    fn keeps_nothing(&self, body: &[u8]) -> Option<bool> {
        const INTER: u64 = 1;
        let mut bits = Bits { bytes: body, at: 0 };
        let (existing, kind, shown) = (bits.flag()?, bits.take(2)?, bits.flag()?);
        if existing || kind != INTER || !shown {
            return Some(false);
        }
        let resilient = bits.flag()?;
        let _no_update = bits.flag()?;
        let screen_content = match self.screen_content {
            Some(all) => all,
            None => bits.flag()?,
        };
        if screen_content && self.integer_motion {
            bits.take(1)?;
        }
        let _other_size = bits.flag()?;
        bits.take(self.order_bits)?;
        if !resilient {
            let _primary_reference = bits.take(3)?;
        }
        Some(bits.take(8)? == 0)
    }
}

/// The units (OBU) of a packet: the kind and the content; `None`, once, where they are malformed or belong to a layer.
struct Units<'a>(&'a [u8]);

impl<'a> Iterator for Units<'a> {
    type Item = Option<(u8, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&head, rest) = self.0.split_first()?;
        self.0 = &[];
        // The first bit is zero; the sixth tells of a layer, the seventh of a size.
        let sized = match head & 0x86 {
            0x02 => size(rest).and_then(|(size, rest)| rest.split_at_checked(size)),
            0x00 => Some((rest, &[][..])),
            _ => None,
        };
        let Some((body, after)) = sized else { return Some(None) };
        self.0 = after;
        Some(Some((head >> 3 & 0xf, body)))
    }
}

/// A size in seven bits a byte (`leb128`), and what follows it.
fn size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// Bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits as a number, the last 64 of them; `None` behind the end.
    fn take(&mut self, count: u32) -> Option<u64> {
        let mut value = 0u64;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits written as 0 and 1, filled up to whole bytes.
    fn bytes(bits: &str) -> Vec<u8> {
        let digits: Vec<u8> = bits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        digits
            .chunks(8)
            .map(|eight| eight.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i)))
            .collect()
    }

    fn unit(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind << 3 | 2, body.len() as u8], body].concat()
    }

    /// A sequence of 16 x 16 pixels with seven bits of order, whose frames choose their tools.
    fn header() -> Vec<u8> {
        bytes("000 0 0  0  0 00000 000000000000 00000  0011 0011 1111 1111  0  000 0000 1 00  1 1 110  000")
    }

    #[test]
    fn a_frame_that_refreshes_nothing_is_unreferenced() {
        let record = [&[0x81, 0, 0, 0][..], &unit(SEQUENCE_HEADER, &header())].concat();
        let sequence = Sequence::of_record(&record).unwrap();
        assert_eq!(sequence, Sequence { screen_content: None, integer_motion: true, order_bits: 7 });
        let frame = |flags: &str| bytes(&format!("0 01 1 0 0 0 0 0001000 000 {flags} 1111"));
        let packet = |flags: &str| [unit(TEMPORAL_DELIMITER, &[]), unit(FRAME, &frame(flags))].concat();
        assert!(sequence.is_unreferenced(&packet("00000000")));
        assert!(!sequence.is_unreferenced(&packet("00000100")));
        // Hidden, a key frame, one that shows another, and two frames in one packet.
        for head in ["0 01 0 0 0 0 0", "0 00 1 0 0 0 0", "1 00 1 0 0 0 0"] {
            assert!(
                !sequence.is_unreferenced(&unit(FRAME, &bytes(&format!("{head} 0000000 0000000000000000"))))
            );
        }
        assert!(!sequence.is_unreferenced(&[packet("00000000"), packet("00000000")].concat()));
        assert!(!sequence.is_unreferenced(&[]) && !sequence.is_unreferenced(&[0x32, 0x7f, 0]));
        // A layer, and a header within the packet.
        assert!(!sequence.is_unreferenced(&[0x36, 0, 3, 0x30, 1, 0]));
        assert!(!sequence.is_unreferenced(&[unit(SEQUENCE_HEADER, &header()), packet("00000000")].concat()));
    }

    #[test]
    fn a_header_that_is_not_followed_is_told_from_none() {
        assert_eq!(Sequence::of_packet(&unit(PADDING, &[0x80])), None);
        assert_eq!(Sequence::of_packet(&unit(SEQUENCE_HEADER, &[0x18])), Some(None));
        assert!(Sequence::of_packet(&unit(SEQUENCE_HEADER, &header())).flatten().is_some());
        assert_eq!(Sequence::of_record(&[]), None);
    }
}
