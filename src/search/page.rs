//! Answers as one web page: the query on top, and the hits as small filmstrips that play when they are pointed at. The file holds
//! everything and fetches nothing.

use image::RgbImage;
use serde::Serialize;

use super::answer::{Answer, time};
use crate::inputs::Columns;
use crate::plot::page::{Framed, PageError, Pictures, framed};
use crate::plot::strip::StripData;

const BODY: &str = include_str!("../../assets/page/search.html");
const SCRIPT: &str = include_str!("../../assets/page/search.js");

/// The longest side of a picture in a filmstrip, in pixels.
pub const STRIP_SIDE: u32 = 200;

/// The frames of a clip, or why there are none.
pub type Strip = Result<Vec<RgbImage>, String>;

/// A query with its hits, as the page shows it.
#[derive(Debug)]
pub struct PageQuery<'a> {
    /// Its name.
    pub name: &'a str,
    /// The clips that were asked for, by their names; empty for words and vectors.
    pub clips: Vec<(String, &'a Strip)>,
    /// The hits, each with its frames.
    pub hits: Vec<(&'a Answer, &'a Strip)>,
}

#[derive(Serialize)]
struct Data<'a> {
    caption: &'a str,
    queries: Vec<QueryData<'a>>,
}

#[derive(Serialize)]
struct QueryData<'a> {
    name: &'a str,
    clips: Vec<Card<'a>>,
    hits: Vec<Card<'a>>,
}

#[derive(Serialize)]
struct Card<'a> {
    rank: usize,
    score: f64,
    id: &'a str,
    path: &'a str,
    time: String,
    columns: &'a Columns,
    strip: Option<StripData>,
    missing: &'a str,
}

/// The page of some queries.
///
/// # Errors
/// If a picture cannot be encoded.
pub fn page(title: &str, caption: &str, queries: &[PageQuery<'_>]) -> Result<String, PageError> {
    let none = Columns::new();
    let queries = queries.iter().map(|query| {
        let clips = query.clips.iter().map(|(name, strip)| {
            card(
                Card {
                    rank: 0,
                    score: 0.0,
                    id: name,
                    path: "",
                    time: String::new(),
                    columns: &none,
                    strip: None,
                    missing: "",
                },
                strip,
            )
        });
        let hits = query.hits.iter().map(|(answer, strip)| {
            let time = time(answer.start, answer.end);
            let (id, path, columns) = (answer.id.as_str(), answer.path.as_str(), &answer.columns);
            let (rank, score) = (answer.rank, answer.score);
            card(Card { rank, score, id, path, time, columns, strip: None, missing: "" }, strip)
        });
        Ok(QueryData {
            name: query.name,
            clips: clips.collect::<Result<_, PageError>>()?,
            hits: hits.collect::<Result<_, PageError>>()?,
        })
    });
    let queries = queries.collect::<Result<_, PageError>>()?;
    let json = serde_json::to_string(&Data { caption, queries })?;
    let (command, body, script, pictures) = ("lift search", BODY, SCRIPT, Pictures::Inside);
    Ok(framed(Framed { command, title, body, json: &json, script, pictures }))
}

fn card<'a>(mut card: Card<'a>, strip: &'a Strip) -> Result<Card<'a>, PageError> {
    match strip {
        Ok(frames) => {
            card.strip = StripData::inside(frames)?;
            card.missing = if card.strip.is_none() { "no frames" } else { "" };
        }
        Err(cause) => card.missing = cause,
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text_and_nothing_is_fetched() {
        let hostile = "</script><script>alert(1)</script>{{data}}<img src=x onerror=alert(2)>\"'&";
        let answer = Answer {
            query: hostile.into(),
            rank: 1,
            score: 0.5,
            id: hostile.into(),
            path: hostile.into(),
            start: Some(0.5),
            end: Some(2.0),
            columns: Columns::from([(hostile.to_owned(), hostile.to_owned())]),
        };
        let strip: Strip = Ok(vec![RgbImage::new(40, 30); 3]);
        let missing: Strip = Err(hostile.into());
        let query = PageQuery {
            name: hostile,
            clips: vec![(hostile.to_owned(), &missing)],
            hits: vec![(&answer, &strip)],
        };
        let page = page(hostile, hostile, &[query]).unwrap();
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("<img src=x") && !page.contains("alert(1)</script>"));
        assert!(!page.contains("http:") && !page.contains("https:"));
        let json = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        let hit = &data["queries"][0]["hits"][0];
        assert_eq!(
            (&hit["id"], &hit["strip"]["frames"], &hit["strip"]["width"]),
            (&hostile.into(), &3.into(), &40.into())
        );
        assert_eq!(hit["columns"][hostile], hostile);
        assert_eq!(hit["time"], "0.5 to 2 s");
        assert_eq!(data["queries"][0]["clips"][0]["missing"], hostile);
    }
}
