//! Encoding for text formats: pictures as JPEG in base64, and text escaped for SVG and HTML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize, thumbnail};
use std::fmt::Write as _;

/// `image` as a `data:` URL, reduced so that no side exceeds `most` pixels.
///
/// # Errors
/// The encoder's own, which a picture in memory does not cause.
pub fn data_address(image: &RgbImage, most: u32) -> Result<String, image::ImageError> {
    Ok(address_of(&jpeg(&reduced(image, most))?))
}

/// `image` as the bytes of a JPEG file.
///
/// # Errors
/// The encoder's own, which a picture in memory does not cause.
pub fn jpeg(image: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(image)?;
    Ok(bytes)
}

/// The bytes of a JPEG file as a `data:` URL.
pub fn address_of(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

/// `image`, reduced in proportion so that no side exceeds `most` pixels.
pub fn reduced(image: &RgbImage, most: u32) -> RgbImage {
    let (w, h) = image.dimensions();
    let longest = w.max(h);
    if longest <= most {
        return image.clone();
    }
    let side = |length: u32| {
        ((u64::from(length) * u64::from(most) + u64::from(longest) / 2) / u64::from(longest)).max(1) as u32
    };
    if longest > 2 * most {
        thumbnail(image, side(w), side(h))
    } else {
        resize(image, side(w), side(h), FilterType::Triangle)
    }
}

/// `text` escaped for an XML or HTML element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// JSON escaped for a `<script>` element: no `<` can close the element, no `&` can begin an entity, and the two line
/// separators that JSON allows and old scripts do not are escaped as well.
pub fn json_for_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{:04x}", c as u32);
            }
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(escape(r#"</text><script>'"&"#), "&lt;/text&gt;&lt;script&gt;&#39;&quot;&amp;");
        let json = serde_json::to_string("</script><!--&\u{2028}").unwrap();
        let safe = json_for_script(&json);
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "</script><!--&\u{2028}");
    }

    #[test]
    fn large_pictures_are_reduced_in_proportion() {
        assert_eq!(reduced(&RgbImage::new(1920, 1080), 480).dimensions(), (480, 270));
        assert_eq!(reduced(&RgbImage::new(600, 700), 480).dimensions(), (411, 480));
        assert_eq!(reduced(&RgbImage::new(40, 30), 480).dimensions(), (40, 30));
        assert_eq!(reduced(&RgbImage::new(10_000, 2), 480).dimensions(), (480, 1));
        let address = data_address(&RgbImage::new(8, 8), 480).unwrap();
        assert!(address.starts_with("data:image/jpeg;base64,/9j/"));
    }
}
