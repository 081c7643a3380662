//! The predictions for every video as a table.

use super::labels::LabelSet;
use super::run::Predictions;

/// The predictions as CSV: `representation,id,label,predicted,rank,fold`, where `rank` is the place of the label among the
/// decision values, from 1.
pub fn csv(labels: &LabelSet, predicted: &[(String, Predictions)]) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Writing to a vector cannot fail, and every row has as many columns as the header.
    let mut record = |cells: [&str; 6]| drop(csv.write_record(cells));
    record(["representation", "id", "label", "predicted", "rank", "fold"]);
    for (name, predictions) in predicted {
        for one in &predictions.videos {
            let video = &labels.videos[one.video];
            let class = |class: u32| labels.classes[class as usize].as_str();
            let (rank, fold) = (one.answer.rank.to_string(), one.fold.to_string());
            record([name, video.name(), class(video.class), class(one.answer.class), &rank, &fold]);
        }
    }
    csv.into_inner().unwrap_or_default()
}
