//! A scene as PDF: one page of the sheet's size, lines as lines, text as text with the glyphs it needs of DejaVu Sans inside.
//!
//! Equal scenes make equal bytes: no date, no random name. A character that the font lacks is a box, as in PNG.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use image::RgbImage;
use pdf_writer::types::{CidFontType, FontFlags, LineJoinStyle, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use subsetter::GlyphRemapper;

use super::encode::{jpeg, reduced};
use super::palette::Rgb;
use super::scene::{CSS_DPI, Scene, Shape};
use super::text::{Anchor, Face, Font, Glyph, clean, glyphs};

/// PDF points per CSS pixel.
const POINTS: f32 = 72.0 / CSS_DPI as f32;
/// Pictures have this many pixels per CSS pixel, so that they stay sharp in print.
const PICTURE_DENSITY: f64 = 3.0;
/// How far a circle's control points lie from its quarter points, in radii.
const ARC: f32 = 0.552_284_8;

const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    /// A picture cannot be encoded.
    #[error(transparent)]
    Picture(#[from] image::ImageError),
    /// The font cannot be reduced to the glyphs of the text.
    #[error("the font: {0}")]
    Font(String),
}

/// The scene as a whole PDF document.
///
/// # Errors
/// [`PdfError`], which the compiled-in fonts and pictures in memory do not cause.
pub fn pdf(scene: &Scene) -> Result<Vec<u8>, PdfError> {
    let mut ids = Ids(0);
    let (catalog, pages, page, contents, info) = (ids.next(), ids.next(), ids.next(), ids.next(), ids.next());
    let mut drawn = Drawn::default();
    let mut content = Content::new();
    // y grows downwards in a scene, upwards in PDF.
    content.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, scene.height as f32 * POINTS]);
    content.set_line_join(LineJoinStyle::RoundJoin);
    scene.shapes.iter().for_each(|shape| drawn.shape(&mut content, shape));

    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.document_info(info).title(TextStr(&clean(&scene.title))).producer(TextStr("lift"));
    pdf.pages(pages).kids([page]).count(1);
    let fonts: BTreeMap<Face, FontIds> =
        drawn.fonts.keys().map(|face| (*face, FontIds::new(&mut ids))).collect();
    let images: Vec<Ref> = drawn.images.iter().map(|_| ids.next()).collect();
    let mut of_page = pdf.page(page);
    of_page.parent(pages).contents(contents);
    of_page.media_box(Rect::new(0.0, 0.0, scene.width as f32 * POINTS, scene.height as f32 * POINTS));
    let mut resources = of_page.resources();
    let mut named = resources.fonts();
    fonts.iter().for_each(|(face, ids)| {
        named.pair(Name(face.name().as_bytes()), ids.font);
    });
    named.finish();
    let mut named = resources.x_objects();
    images.iter().enumerate().for_each(|(at, id)| {
        named.pair(Name(image_name(at).as_bytes()), *id);
    });
    named.finish();
    resources.finish();
    of_page.finish();
    pdf.stream(contents, &content.finish());
    for (face, used) in &drawn.fonts {
        write_font(&mut pdf, *face, used, &fonts[face])?;
    }
    for ((image, most), id) in drawn.images.iter().zip(images) {
        let image = reduced(image, *most);
        let (bytes, [width, height]) = (jpeg(&image)?, [image.width(), image.height()]);
        let mut object = pdf.image_xobject(id, &bytes);
        object.filter(Filter::DctDecode);
        object.width(width as i32).height(height as i32);
        object.color_space().device_rgb();
        object.bits_per_component(8);
    }
    Ok(pdf.finish())
}

/// The numbers of the objects.
struct Ids(i32);

impl Ids {
    fn next(&mut self) -> Ref {
        self.0 += 1;
        Ref::new(self.0)
    }
}

/// The objects of one font.
struct FontIds {
    font: Ref,
    descendant: Ref,
    descriptor: Ref,
    file: Ref,
    cmap: Ref,
}

impl FontIds {
    fn new(ids: &mut Ids) -> Self {
        let (font, descendant, descriptor) = (ids.next(), ids.next(), ids.next());
        Self { font, descendant, descriptor, file: ids.next(), cmap: ids.next() }
    }
}

/// The glyphs of a font that the text needs.
#[derive(Default)]
struct UsedGlyphs {
    remapper: GlyphRemapper,
    /// By the glyph's number in the reduced font: the character, and the width in thousandths of the em.
    glyphs: BTreeMap<u16, (char, f32)>,
}

/// What the shapes of a page need besides its content.
#[derive(Default)]
struct Drawn {
    fonts: BTreeMap<Face, UsedGlyphs>,
    /// Pictures, each with the most pixels of a side.
    images: Vec<(Arc<RgbImage>, u32)>,
    /// The place of a picture that stands in several places.
    placed: HashMap<(usize, u32), usize>,
}

fn image_name(at: usize) -> String {
    format!("I{at}")
}

impl Drawn {
    fn shape(&mut self, content: &mut Content, shape: &Shape) {
        match shape {
            Shape::Stroke { points, colour, width } => {
                let [r, g, b] = parts(*colour);
                content.set_stroke_rgb(r, g, b).set_line_width(*width as f32);
                line(content, points);
                content.stroke();
            }
            Shape::Polygon { points, fill } => {
                ink(content, *fill);
                line(content, points);
                content.close_path().fill_nonzero();
            }
            Shape::Disc { centre, radius, fill } => {
                ink(content, *fill);
                disc(content, centre.map(|v| v as f32), *radius as f32);
            }
            Shape::Block { area, fill } => {
                ink(content, *fill);
                content.rect(area.x as f32, area.y as f32, area.w as f32, area.h as f32).fill_nonzero();
            }
            Shape::Text { text, at, anchor, font } => self.text(content, text, *at, *anchor, *font),
            Shape::Picture { area, image } => {
                let most = (area.w.max(area.h) * PICTURE_DENSITY).ceil() as u32;
                let key = (Arc::as_ptr(image) as usize, most);
                let at = *self.placed.entry(key).or_insert_with(|| {
                    self.images.push((image.clone(), most));
                    self.images.len() - 1
                });
                content.save_state();
                // A picture is one unit wide and high, its first row on top.
                content.transform([
                    area.w as f32,
                    0.0,
                    0.0,
                    -area.h as f32,
                    area.x as f32,
                    area.bottom() as f32,
                ]);
                content.x_object(Name(image_name(at).as_bytes())).restore_state();
            }
        }
    }

    fn text(&mut self, content: &mut Content, text: &str, at: [f64; 2], anchor: Anchor, font: Font) {
        let (face, all, width) = glyphs(text, font);
        if all.is_empty() {
            return;
        }
        let size = font.size as f32;
        let used = self.fonts.entry(face).or_default();
        let shift = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        ink(content, font.colour);
        content.begin_text().set_font(Name(face.name().as_bytes()), size);
        content.set_text_matrix([1.0, 0.0, 0.0, -1.0, at[0] as f32 - shift, at[1] as f32]);
        let mut shown = content.show_positioned();
        let mut items = shown.items();
        let mut pen = 0.0;
        for Glyph { id, x, advance, character } in all {
            let cid = used.remapper.remap(id);
            used.glyphs.entry(cid).or_insert((character, advance / size * 1000.0));
            // Kerning: how much further left than the pen the glyph begins.
            let kern = (pen - x) / size * 1000.0;
            if kern.abs() > 0.01 {
                items.adjust(kern);
            }
            items.show(Str(&cid.to_be_bytes()));
            pen = x + advance;
        }
        items.finish();
        shown.finish();
        content.end_text();
    }
}

fn parts(colour: Rgb) -> [f32; 3] {
    colour.map(|part| f32::from(part) / 255.0)
}

fn ink(content: &mut Content, colour: Rgb) {
    let [r, g, b] = parts(colour);
    content.set_fill_rgb(r, g, b);
}

fn line(content: &mut Content, points: &[[f64; 2]]) {
    for (at, [x, y]) in points.iter().enumerate() {
        match at {
            0 => content.move_to(*x as f32, *y as f32),
            _ => content.line_to(*x as f32, *y as f32),
        };
    }
}

fn disc(content: &mut Content, [x, y]: [f32; 2], r: f32) {
    let k = ARC * r;
    content.move_to(x + r, y);
    content.cubic_to(x + r, y + k, x + k, y + r, x, y + r);
    content.cubic_to(x - k, y + r, x - r, y + k, x - r, y);
    content.cubic_to(x - r, y - k, x - k, y - r, x, y - r);
    content.cubic_to(x + k, y - r, x + r, y - k, x + r, y);
    content.close_path().fill_nonzero();
}

/// Writes a font with the glyphs that are used, and what each stands for, so that text can be searched and copied.
fn write_font(pdf: &mut Pdf, face: Face, used: &UsedGlyphs, ids: &FontIds) -> Result<(), PdfError> {
    let file =
        subsetter::subset(face.bytes(), 0, &used.remapper).map_err(|e| PdfError::Font(e.to_string()))?;
    // The letters before the + tell that the font is not whole.
    let name = format!("LIFTAA+{}", face.name());
    let name = Name(name.as_bytes());
    let (ascent, descent) = face.extent();
    pdf.type0_font(ids.font)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(ids.descendant)
        .to_unicode(ids.cmap);
    let mut descendant = pdf.cid_font(ids.descendant);
    descendant
        .subtype(CidFontType::Type2)
        .base_font(name)
        .system_info(IDENTITY)
        .font_descriptor(ids.descriptor)
        .default_width(0.0)
        .cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = descendant.widths();
    for (cid, (_, width)) in &used.glyphs {
        widths.same(*cid, *cid, *width);
    }
    widths.finish();
    descendant.finish();
    pdf.font_descriptor(ids.descriptor)
        .name(name)
        .flags(FontFlags::SYMBOLIC)
        // Wide enough for every glyph; readers clip by the outlines themselves.
        .bbox(Rect::new(-2200.0, -1000.0, 4000.0, 2600.0))
        .italic_angle(0.0)
        .ascent(ascent)
        .descent(descent)
        .cap_height(ascent)
        .stem_v(80.0)
        .font_file2(ids.file);
    pdf.stream(ids.file, &file).pair(Name(b"Length1"), file.len() as i32);
    let mut cmap: UnicodeCmap<u16> = UnicodeCmap::new(Name(b"Custom"), IDENTITY);
    used.glyphs.iter().for_each(|(cid, (character, _))| cmap.pair(*cid, *character));
    pdf.cmap(ids.cmap, &cmap.finish());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Area;

    fn scene() -> Scene {
        let mut scene = Scene::new(200.0, 100.0, "a (title) \\ with brackets");
        let font = Font { size: 14.0, bold: false, colour: [1, 2, 3] };
        scene.text("AVATAR ёж 折", [100.0, 50.0], Anchor::Middle, font);
        scene.text("bold", [10.0, 90.0], Anchor::Start, Font { bold: true, ..font });
        scene.disc([20.0, 20.0], 5.0, [255, 0, 0], [0, 0, 0], 1.0);
        scene.stroke(&[[0.0, 0.0], [200.0, 100.0]], [0, 0, 255], 1.5);
        let image = Arc::new(RgbImage::from_pixel(8, 4, image::Rgb([9, 99, 200])));
        scene.picture(&image, Area::new(50.0, 60.0, 40.0, 20.0));
        scene.picture(&image, Area::new(100.0, 60.0, 40.0, 20.0));
        scene
    }

    #[test]
    fn equal_scenes_make_equal_documents_of_the_sheets_size() {
        let bytes = pdf(&scene()).unwrap();
        assert!(bytes.starts_with(b"%PDF-1.7") && bytes.ends_with(b"%%EOF"));
        assert_eq!(bytes, pdf(&scene()).unwrap());
        let text = String::from_utf8_lossy(&bytes);
        // 200 x 100 CSS pixels are 150 x 75 points.
        assert!(text.contains("/MediaBox [0 0 150 75]"), "{}", &text[..600]);
        assert_eq!(text.matches("/Subtype /Image").count(), 1, "one picture that is shown twice");
        assert_eq!(text.matches("/FontFile2").count(), 2);
        // The fonts are reduced: DejaVu Sans whole has 750 kB.
        assert!(bytes.len() < 60_000, "{}", bytes.len());
    }

    #[test]
    fn text_is_text() {
        let bytes = pdf(&scene()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // The map from glyphs to characters has Cyrillic letters, and the box for what the font lacks.
        for character in ['A', 'ё', '\u{25a1}'] {
            assert!(text.contains(&format!("<{:04X}>", character as u32)), "{character}");
        }
    }
}
