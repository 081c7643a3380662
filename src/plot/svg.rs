//! A scene as SVG: coordinates to a hundredth of a pixel, text as text, pictures inside.
//!
//! It is written here because the SVG writer of plotters rounds to whole pixels and labels its pictures `data:png`, which is
//! not a media type.

use super::encode::{data_address, escape};
use super::palette::hex;
use super::scene::{Scene, Shape};
use super::text::Anchor;
use std::fmt::Write as _;

/// Pictures have this many pixels per CSS pixel, so that they stay sharp when zoomed.
const PICTURE_DENSITY: f64 = 3.0;

/// The scene as a whole SVG document.
///
/// # Errors
/// The picture encoder's own, which pictures in memory do not cause.
pub fn svg(scene: &Scene) -> Result<String, image::ImageError> {
    let (w, h) = (number(scene.width), number(scene.height));
    let title = escape(&super::text::clean(&scene.title));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{w}\" \
         height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         font-family=\"'DejaVu Sans', Verdana, Arial, sans-serif\">\n<title>{title}</title>\n"
    );
    for shape in &scene.shapes {
        element(&mut out, shape)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn element(out: &mut String, shape: &Shape) -> Result<(), image::ImageError> {
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::Stroke { points: through, colour, width } => writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"/>",
            points(through),
            hex(*colour),
            number(*width)
        ),
        Shape::Polygon { points: corners, fill } => {
            writeln!(out, "<polygon points=\"{}\" fill=\"{}\"/>", points(corners), hex(*fill))
        }
        Shape::Disc { centre, radius, fill } => writeln!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>",
            number(centre[0]),
            number(centre[1]),
            number(*radius),
            hex(*fill)
        ),
        Shape::Block { area, fill } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            number(area.x),
            number(area.y),
            number(area.w),
            number(area.h),
            hex(*fill)
        ),
        Shape::Text { text, at, anchor, font } => writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{} fill=\"{}\" text-anchor=\"{}\">{}</text>",
            number(at[0]),
            number(at[1]),
            number(font.size),
            if font.bold { " font-weight=\"bold\"" } else { "" },
            hex(font.colour),
            match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            },
            escape(text)
        ),
        Shape::Picture { area, image } => {
            let most = (area.w.max(area.h) * PICTURE_DENSITY).ceil() as u32;
            writeln!(
                out,
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" xlink:href=\"{}\"/>",
                number(area.x),
                number(area.y),
                number(area.w),
                number(area.h),
                data_address(image, most)?
            )
        }
    };
    Ok(())
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn points(through: &[[f64; 2]]) -> String {
    through.iter().map(|[x, y]| format!("{},{}", number(*x), number(*y))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::scene::Area;
    use crate::plot::text::Font;
    use std::sync::Arc;

    #[test]
    fn titles_are_text_whatever_they_hold() {
        let hostile = "</title></svg><script>alert('x')</script>\u{0}&";
        let mut scene = Scene::new(100.0, 50.0, hostile);
        scene.text(hostile, [1.0, 2.005], Anchor::Middle, Font { size: 12.0, bold: true, colour: [1, 2, 3] });
        scene.picture(&Arc::new(image::RgbImage::new(4, 4)), Area::new(0.0, 0.0, 10.0, 10.0));
        let text = svg(&scene).unwrap();
        assert!(!text.contains("<script") && !text.contains('\u{0}'), "{text}");
        assert_eq!(text.matches("</svg>").count(), 1);
        assert_eq!(text.matches("<title>").count(), 1);
        assert!(text.contains("&lt;/title&gt;") && text.contains("data:image/jpeg;base64,"));
        assert!(text.contains("fill=\"#010203\"") && text.contains("font-weight=\"bold\""));
    }

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!(
            (number(1.0), number(0.333), number(-2.5), number(100.0)),
            ("1".into(), "0.33".into(), "-2.5".into(), "100".into())
        );
    }
}
