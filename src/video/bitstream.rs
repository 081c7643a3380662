//! What a packet's bytes tell without decoding them: whether it holds a picture, and of which kind.
//!
//! Only the outer syntax is read: NAL units of H.264 and HEVC, start codes of MPEG-4 Part 2, marker segments of JPEG, the first byte
//! of VP8. The answers excuse what would count as damage otherwise, so each is given only where the bytes leave no doubt.

use ffmpeg_next::codec::Id;

use super::av1::Sequence;

/// The type of a B-picture of MPEG-4 Part 2.
const B_PICTURE: u8 = 2;

/// How the packets of a stream are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    codec: Id,
    /// Bytes of the length in front of each NAL unit (MP4, Matroska); `None` where start codes separate them.
    length_bytes: Option<usize>,
    /// How the frames of AV1 are written, where that is known.
    sequence: Option<Sequence>,
}

impl Syntax {
    /// The syntax by the stream's codec and the container's configuration record (`avcC` or `hvcC` of ISO/IEC 14496-15, whose first
    /// byte is 1).
    pub fn new(codec: Id, extradata: &[u8]) -> Self {
        let length_bytes = match extradata {
            [1, _, _, _, byte, ..] if codec == Id::H264 => Some(usize::from(byte & 3) + 1),
            // `hvcC`: the lengths' size stands in the byte before the number of arrays.
            [1, rest @ ..] if codec == Id::HEVC => rest.get(20).map(|byte| usize::from(byte & 3) + 1),
            _ => None,
        };
        let sequence = if codec == Id::AV1 { Sequence::of_record(extradata) } else { None };
        Self { codec, length_bytes, sequence }
    }

    /// Takes over what the packet says of those that follow: a header of AV1.
    pub fn follow(&mut self, packet: &[u8]) {
        if self.codec == Id::AV1
            && let Some(sequence) = Sequence::of_packet(packet)
        {
            self.sequence = sequence;
        }
    }

    /// Whether the packet holds no picture of its own: nothing but delimiters, parameters or messages of H.264, or a reference
    /// frame of VP8 that is never shown.
    pub fn lacks_picture(&self, packet: &[u8]) -> bool {
        match self.codec {
            Id::VP8 => packet.first().is_some_and(|byte| byte & 0x10 == 0),
            Id::H264 => {
                let mut units = self.nal_units(packet).peekable();
                units.peek().is_some() && units.all(|unit| unit.is_some_and(is_beside_pictures))
            }
            _ => false,
        }
    }

    /// Whether a packet's bytes have to be looked at for [`Syntax::lacks_picture`].
    pub fn has_packets_without_picture(&self) -> bool {
        matches!(self.codec, Id::H264 | Id::VP8)
    }

    /// Whether the packet holds an IDR picture of H.264: no later picture refers to one before it.
    pub fn is_idr(&self, packet: &[u8]) -> bool {
        const IDR_SLICE: u8 = 5;
        self.codec == Id::H264
            && self.nal_units(packet).map_while(|unit| unit).any(|unit| unit[0] & 0x1f == IDR_SLICE)
    }

    /// Whether no other picture refers to the one in the packet: of H.264 and HEVC as the head of its first slice says (`nal_ref_idc`,
    /// H.264 7.4.1; a sub-layer non-reference picture, H.265 table 7-1), a frame of AV1 that refreshes no reference, a lone
    /// B-picture of MPEG-4 Part 2. False for any other codec.
    pub fn is_unreferenced(&self, packet: &[u8]) -> bool {
        match self.codec {
            Id::H264 | Id::HEVC => {}
            Id::AV1 => return self.sequence.is_some_and(|sequence| sequence.is_unreferenced(packet)),
            Id::MPEG4 => return self.pictures(packet).take(2).eq([B_PICTURE]),
            _ => return false,
        }
        let slice = |unit: &[u8]| match self.codec {
            Id::H264 => matches!(unit[0] & 0x1f, 1..=5).then_some(unit[0] & 0x60 == 0),
            _ => {
                let kind = unit[0] >> 1 & 0x3f;
                (kind < 32).then_some(kind < 16 && kind & 1 == 0)
            }
        };
        self.nal_units(packet).map_while(|unit| unit).find_map(slice).unwrap_or(false)
    }

    /// Whether the decoder itself leaves a picture out that nothing refers to. Another decoder must not get its packet.
    pub fn decoder_skips(&self) -> bool {
        matches!(self.codec, Id::H264 | Id::HEVC)
    }

    /// How many B-pictures of MPEG-4 Part 2 the packet holds.
    pub fn b_pictures(&self, packet: &[u8]) -> usize {
        self.pictures(packet).filter(|&kind| kind == B_PICTURE).count()
    }

    /// Whether the packet holds several pictures of MPEG-4 Part 2: the decoder then keeps one for the next packet.
    pub fn is_packed(&self, packet: &[u8]) -> bool {
        self.pictures(packet).nth(1).is_some()
    }

    /// The types of the pictures of MPEG-4 Part 2 in the packet.
    fn pictures(&self, packet: &[u8]) -> impl Iterator<Item = u8> {
        let packet = if self.codec == Id::MPEG4 { packet } else { &[] };
        // A picture begins with this start code; the next two bits are its type.
        packet.windows(5).filter_map(|bytes| match bytes {
            [0, 0, 1, 0xb6, kind] => Some(kind >> 6),
            _ => None,
        })
    }

    /// Whether a JPEG picture has an application segment that its colours may depend on (Adobe's, Pegasus's).
    pub fn has_colour_segment(&self, packet: &[u8]) -> bool {
        let scan = packet.windows(2).position(|two| two == [0xff, 0xda]).unwrap_or(packet.len());
        packet[..scan].windows(5).any(|five| five == b"Adobe" || five.starts_with(b"LJIF"))
    }

    /// The NAL units of a packet of H.264 or HEVC, header byte first; an item is `None`, the last one, where they are malformed.
    fn nal_units<'a>(&self, packet: &'a [u8]) -> Box<dyn Iterator<Item = Option<&'a [u8]>> + 'a> {
        match self.length_bytes {
            Some(bytes) => Box::new(length_prefixed(packet, bytes)),
            None => Box::new(between_start_codes(packet)),
        }
    }
}

/// NAL units with their lengths, big endian, in front.
fn length_prefixed(mut rest: &[u8], bytes: usize) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = rest.split_at_checked(bytes).and_then(|(length, after)| {
            let length = length.iter().fold(0usize, |value, &byte| value << 8 | usize::from(byte));
            let (unit, after) = after.split_at_checked(length)?;
            rest = after;
            (!unit.is_empty()).then_some(unit)
        });
        if unit.is_none() {
            rest = &[];
        }
        Some(unit)
    })
}

/// NAL units behind start codes 00 00 01.
fn between_start_codes(packet: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let code = |bytes: &[u8]| bytes.windows(3).position(|three| three == [0, 0, 1]);
    let mut rest = code(packet).map_or(packet, |at| &packet[at..]);
    std::iter::from_fn(move || {
        let after = std::mem::take(&mut rest);
        if after.is_empty() {
            return None;
        }
        let Some(body) = after.strip_prefix(&[0, 0, 1]) else { return Some(None) };
        let unit = match code(body) {
            Some(end) => {
                rest = &body[end..];
                &body[..end]
            }
            None => body,
        };
        // Zeros behind a unit belong to no unit.
        let end = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        Some((end > 0).then_some(&unit[..end]))
    })
}

/// Whether a NAL unit is surely no part of a picture.
///
/// One flipped bit turns the header of a slice into that of a delimiter or of a parameter set, so the header alone does
/// not decide (types and syntax: ITU-T H.264, 7.3 and table 7-1).
fn is_beside_pictures(unit: &[u8]) -> bool {
    let Some((header, body)) = unit.split_first() else { return false };
    match header & 0x9f {
        6 => is_messages(body),
        // Sequence parameters: a profile, two bits that are zero, a level.
        7 => {
            let known = |profile| matches!(profile, 44 | 66 | 77 | 88 | 100 | 110 | 118 | 122 | 128 | 244);
            matches!(body, [profile, flags, 9..=62, ..] if known(*profile) && flags & 3 == 0)
                && body.len() < 512
        }
        // Picture parameters.
        8 => (1..64).contains(&body.len()),
        // Access unit delimiter: three bits and the stop bit.
        9 => matches!(body, [kind] if kind & 0x1f == 0x10),
        // End of sequence, end of stream.
        10 | 11 => body.is_empty(),
        // Filler.
        12 => matches!(body, [filler @ .., 0x80] if filler.iter().all(|&byte| byte == 0xff)),
        _ => false,
    }
}

/// Whether the bytes are supplemental messages (SEI): type, length and payload of each, then the stop bit.
fn is_messages(body: &[u8]) -> bool {
    // A 3 behind two zeros only keeps start codes from appearing.
    let mut bytes = Vec::with_capacity(body.len());
    for &byte in body {
        if byte != 3 || !bytes.ends_with(&[0, 0]) {
            bytes.push(byte);
        }
    }
    let mut rest = &bytes[..];
    // A number is written as 255s that add up, and a last byte.
    let number = |rest: &mut &[u8]| {
        let full = rest.iter().take_while(|&&byte| byte == 255).count();
        let last = usize::from(*rest.get(full)?);
        *rest = &rest[full + 1..];
        Some(255 * full + last)
    };
    while rest != [0x80] {
        let skipped = number(&mut rest).and_then(|_kind| {
            let length = number(&mut rest)?;
            rest.split_at_checked(length)
        });
        let Some((_, after)) = skipped else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVCC: [u8; 5] = [1, 100, 0, 10, 0xff];

    fn lacks(syntax: Syntax, packet: &[u8]) -> bool {
        syntax.lacks_picture(packet)
    }

    #[test]
    fn a_delimiter_alone_is_no_picture_and_a_slice_that_looks_like_one_is() {
        let mp4 = Syntax::new(Id::H264, &AVCC);
        assert!(lacks(mp4, &[0, 0, 0, 2, 0x09, 0xf0]));
        assert!(!lacks(mp4, &[0, 0, 0, 2, 0x09, 0xf0, 0, 0, 0, 3, 0x41, 1, 2]));
        // A slice whose header lost one bit.
        assert!(!lacks(mp4, &[0, 0, 0, 4, 0x49, 0x9a, 0x24, 0x6c]));
        assert!(!lacks(mp4, &[0, 0, 0, 4, 0x67, 0x88, 0x84, 0x00]));
        // Lengths that do not add up, and nothing at all.
        assert!(!lacks(mp4, &[0, 0, 0, 3, 0x09, 0xf0]));
        assert!(!lacks(mp4, &[0, 0, 0, 0, 0, 0, 0, 2, 0x09, 0xf0]));
        assert!(!lacks(mp4, &[]));
        let ts = Syntax::new(Id::H264, &[]);
        assert!(lacks(ts, &[0, 0, 0, 1, 0x09, 0xf0]));
        assert!(lacks(ts, &[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x68, 0xee, 0x3c, 0x80, 0]));
        assert!(!lacks(ts, &[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x41, 0x9a]));
        assert!(!lacks(ts, &[0x09, 0xf0]));
        assert!(!lacks(Syntax::new(Id::HEVC, &[]), &[0, 0, 0, 1, 0x46, 0x01, 0x50]));
    }

    #[test]
    fn messages_are_known_by_their_lengths() {
        let mp4 = Syntax::new(Id::H264, &AVCC);
        assert!(lacks(mp4, &[0, 0, 0, 7, 6, 5, 3, b'a', b'b', b'c', 0x80]));
        assert!(lacks(mp4, &[0, 0, 0, 8, 6, 5, 3, 0, 0, 3, 1, 0x80]));
        assert!(!lacks(mp4, &[0, 0, 0, 7, 6, 5, 9, b'a', b'b', b'c', 0x80]));
    }

    #[test]
    fn an_idr_picture_is_found_behind_what_precedes_it() {
        let mp4 = Syntax::new(Id::H264, &AVCC);
        assert!(mp4.is_idr(&[0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 2, 0x65, 0x88]));
        assert!(!mp4.is_idr(&[0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 2, 0x41, 0x88]));
        assert!(!Syntax::new(Id::VP9, &[]).is_idr(&[0, 0, 1, 0x65]));
    }

    #[test]
    fn the_first_slice_tells_whether_a_picture_is_referred_to() {
        let mp4 = Syntax::new(Id::H264, &AVCC);
        assert!(mp4.is_unreferenced(&[0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 2, 0x01, 0x88]));
        assert!(!mp4.is_unreferenced(&[0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 2, 0x41, 0x88]));
        assert!(!mp4.is_unreferenced(&[0, 0, 0, 2, 0x09, 0x10]) && !mp4.is_unreferenced(&[]));
        let hevc = Syntax::new(Id::HEVC, &[]);
        // Types 0 (TRAIL_N) and 1 (TRAIL_R), behind a delimiter; 16 and above are random access points.
        assert!(hevc.is_unreferenced(&[0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x00, 1, 0xd0]));
        assert!(!hevc.is_unreferenced(&[0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x02, 1, 0xd0]));
        assert!(!hevc.is_unreferenced(&[0, 0, 1, 0x28, 1, 0xaf]));
        assert!(!Syntax::new(Id::VP9, &[]).is_unreferenced(&[0, 0, 1, 0x01, 0x88]));
    }

    #[test]
    fn a_hidden_frame_of_vp8_is_no_picture() {
        let vp8 = Syntax::new(Id::VP8, &[]);
        assert!(lacks(vp8, &[0x00]) && !lacks(vp8, &[0x10]) && !lacks(vp8, &[]));
    }

    #[test]
    fn b_pictures_of_mpeg4_are_counted() {
        let mpeg4 = Syntax::new(Id::MPEG4, &[]);
        let packed = [0, 0, 1, 0xb6, 0x50, 9, 9, 0, 0, 1, 0xb6, 0x90, 9];
        assert_eq!(mpeg4.b_pictures(&packed), 1);
        assert!(mpeg4.is_packed(&packed) && !mpeg4.is_unreferenced(&packed));
        assert!(mpeg4.is_unreferenced(&packed[7..]) && !mpeg4.is_packed(&packed[7..]));
        assert!(!mpeg4.is_unreferenced(&packed[..7]));
        assert_eq!(Syntax::new(Id::H264, &[]).b_pictures(&packed), 0);
    }

    #[test]
    fn a_colour_segment_counts_before_the_scan_alone() {
        let jpeg = Syntax::new(Id::MJPEG, &[]);
        assert!(jpeg.has_colour_segment(b"\xff\xd8\xff\xee\0\x0eAdobe\0d\xff\xda"));
        assert!(!jpeg.has_colour_segment(b"\xff\xd8\xff\xe1\0\x01\xff\xdaAdobe"));
    }
}
