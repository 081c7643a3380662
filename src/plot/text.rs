//! Text without system fonts: DejaVu Sans from a crate, measured and drawn with its side bearings and kerning.
//!
//! DejaVu covers Latin, Greek, Cyrillic and more, but not every script: a character that it lacks is drawn as an empty box, so
//! that nothing fails. SVG and HTML keep the characters themselves.

use super::palette::Rgb;
use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont, point};
use image::RgbImage;
use std::sync::LazyLock;

static REGULAR: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).ok());
static BOLD: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::bold()).ok());

/// The box that is drawn for a character that the font lacks.
const MISSING: char = '\u{25a1}';
const ELLIPSIS: char = '\u{2026}';

/// Which point of a text its `x` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Font {
    /// Em size in CSS pixels.
    pub size: f64,
    /// Bold or regular.
    pub bold: bool,
    /// Ink.
    pub colour: Rgb,
}

/// The text on one line: line breaks and tabs become spaces, characters that may not stand in XML, and
/// those that would turn the direction of the text around them, are dropped.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect()
}

fn face(bold: bool) -> Option<&'static FontRef<'static>> {
    if bold { BOLD.as_ref() } else { REGULAR.as_ref() }
}

/// Converts an em size to the scale of `ab_glyph`, which is the height from descent to ascent.
fn scale(face: &FontRef<'_>, em: f64) -> PxScale {
    let units = face.units_per_em().unwrap_or(2048.0);
    PxScale::from(em as f32 * face.height_unscaled() / units)
}

/// The glyphs of `text` with the horizontal place of each, and the whole width.
fn layout(face: &FontRef<'_>, text: &str, em: f64) -> (Vec<(ab_glyph::GlyphId, f32)>, f32) {
    let scaled = face.as_scaled(scale(face, em));
    let (mut glyphs, mut x) = (Vec::new(), 0.0);
    for c in text.chars() {
        let mut id = scaled.glyph_id(c);
        if id.0 == 0 {
            id = scaled.glyph_id(MISSING);
        }
        if let Some((before, _)) = glyphs.last() {
            x += scaled.kern(*before, id);
        }
        glyphs.push((id, x));
        x += scaled.h_advance(id);
    }
    (glyphs, x)
}

/// One of the two fonts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Face {
    /// DejaVu Sans.
    Regular,
    /// DejaVu Sans Bold.
    Bold,
}

impl Face {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "DejaVuSans",
            Self::Bold => "DejaVuSans-Bold",
        }
    }

    /// The bytes of its file.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Regular => dejavu::sans::regular(),
            Self::Bold => dejavu::sans::bold(),
        }
    }

    /// How far it reaches above and below the baseline, in thousandths of the em.
    pub fn extent(self) -> (f32, f32) {
        let of = |face: &FontRef<'_>| {
            let units = face.units_per_em().unwrap_or(2048.0) / 1000.0;
            (face.ascent_unscaled() / units, face.descent_unscaled() / units)
        };
        face(self == Self::Bold).map_or((0.0, 0.0), of)
    }
}

/// A glyph of a line of text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glyph {
    /// Its number in the font's file.
    pub id: u16,
    /// Where it begins, in CSS pixels from the start of the text.
    pub x: f32,
    /// Its own width, without kerning.
    pub advance: f32,
    /// What it stands for: the box stands for itself.
    pub character: char,
}

/// The font of a line of text, its glyphs, and its width.
pub fn glyphs(text: &str, font: Font) -> (Face, Vec<Glyph>, f32) {
    let which = if font.bold { Face::Bold } else { Face::Regular };
    let Some(face) = face(font.bold) else { return (which, vec![], 0.0) };
    let (all, width) = layout(face, text, font.size);
    let scaled = face.as_scaled(scale(face, font.size));
    let missing = scaled.glyph_id(MISSING);
    let glyph = |((id, x), c): ((ab_glyph::GlyphId, f32), char)| Glyph {
        id: id.0,
        x,
        advance: scaled.h_advance(id),
        character: if id == missing { MISSING } else { c },
    };
    (which, all.into_iter().zip(text.chars()).map(glyph).collect(), width)
}

/// Width of one line of `text` in CSS pixels.
pub fn width(text: &str, font: Font) -> f64 {
    face(font.bold).map_or(0.0, |face| f64::from(layout(face, text, font.size).1))
}

/// `text` broken at spaces into at most `lines` lines no wider than `room`, the last cut with an ellipsis if need be.
pub fn wrap(text: &str, font: Font, room: f64, lines: usize) -> Vec<String> {
    let text = clean(text);
    let mut done: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.peek() {
        let longer = if line.is_empty() { (*word).to_string() } else { format!("{line} {word}") };
        let last = done.len() + 1 == lines;
        if line.is_empty() || last || width(&longer, font) <= room {
            line = longer;
            words.next();
        } else {
            done.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        done.push(line);
    }
    done.into_iter().map(|line| shorten(&line, font, room)).collect()
}

/// `text` cut with an ellipsis if it is wider than `room`.
pub fn shorten(text: &str, font: Font, room: f64) -> String {
    if width(text, font) <= room {
        return text.to_string();
    }
    let mut kept: Vec<char> = text.chars().collect();
    loop {
        kept.pop();
        let cut: String = kept.iter().collect::<String>().trim_end().chars().chain([ELLIPSIS]).collect();
        if kept.is_empty() || width(&cut, font) <= room {
            return cut;
        }
    }
}

/// Draws one line of `text` into `image`, `at` in its pixels, the font's size in pixels as well.
pub fn draw(image: &mut RgbImage, text: &str, at: [f64; 2], anchor: Anchor, font: Font) {
    let Some(face) = face(font.bold) else { return };
    let (glyphs, width) = layout(face, text, font.size);
    let shift = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    let scale = scale(face, font.size);
    for (id, x) in glyphs {
        let place = point(at[0] as f32 - shift + x, at[1] as f32);
        let Some(outline) = face.outline_glyph(id.with_scale_and_position(scale, place)) else { continue };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let (x, y) = (corner.x as i64 + i64::from(x), corner.y as i64 + i64::from(y));
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = image.get_pixel_mut_checked(x, y)
            {
                blend(&mut pixel.0, font.colour, coverage);
            }
        });
    }
}

fn blend(pixel: &mut Rgb, ink: Rgb, coverage: f32) {
    for (under, over) in pixel.iter_mut().zip(ink) {
        *under =
            (f32::from(*under) + (f32::from(over) - f32::from(*under)) * coverage.min(1.0)).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FONT: Font = Font { size: 20.0, bold: false, colour: [0, 0, 0] };

    fn ink(text: &str) -> Vec<u8> {
        let mut image = RgbImage::from_pixel(400, 40, image::Rgb([255; 3]));
        draw(&mut image, text, [4.0, 28.0], Anchor::Start, FONT);
        image.into_raw()
    }

    #[test]
    fn accents_and_cyrillic_are_in_the_font_and_what_is_not_becomes_a_box() {
        let blank = ink("");
        for text in ["é", "ё", "Складывание бумаги", "Ωδή"] {
            assert_ne!(ink(text), blank, "{text}");
            assert_ne!(ink(text), ink(&"\u{25a1}".repeat(text.chars().count())), "{text}");
        }
        assert_eq!(ink("折紙"), ink("\u{25a1}\u{25a1}"));
        assert_eq!(ink("🎬"), ink("\u{25a1}"));
    }

    #[test]
    fn long_text_is_broken_then_cut_and_fits() {
        let long = "opening a very heavy wooden door ".repeat(8);
        let lines = wrap(&long, FONT, 300.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…'));
        assert!(lines.iter().all(|line| width(line, FONT) <= 300.0), "{lines:?}");
        let word = wrap(&"ж".repeat(300), FONT, 300.0, 2);
        assert!(word.len() == 1 && word[0].ends_with('…') && width(&word[0], FONT) <= 300.0);
        assert_eq!(wrap("short", FONT, 300.0, 2), ["short"]);
        assert!(wrap("", FONT, 300.0, 2).is_empty());
    }

    #[test]
    fn control_characters_and_line_breaks_do_not_survive() {
        assert_eq!(clean("a\nb\tc\u{0}\u{1b}[31m\u{202e}"), "a b c[31m");
    }

    #[test]
    fn text_beyond_the_edge_is_clipped() {
        let mut image = RgbImage::new(10, 10);
        draw(&mut image, "wide", [-20.0, 300.0], Anchor::End, FONT);
        draw(&mut image, "wide", [5.0, 5.0], Anchor::Middle, FONT);
    }
}
