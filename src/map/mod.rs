//! A collection at a glance: every clip is a point of the plane, and clips that are alike are near each other.
//!
//! In the order data flows: [`shown`] chooses the clips of a large collection, [`Vectors`] holds the rows of a representation,
//! [`layout()`] puts them in the plane (`components` finds principal components, `neighbours` the nearest rows, `tsne` descends with
//! the forces of a `tree`), a [`Colouring`] labels them (`kmeans` groups them where there are no labels), [`Strips`] are their
//! pictures, [`nearby()`] finds the neighbours that a page shows. A [`MapDrawing`] is a still picture of all, a [`MapPage`] is a page.
//!
//! Clips are compared by the code of `lift search`.

mod colouring;
mod components;
mod figure;
mod kmeans;
mod layout;
mod nearby;
mod neighbours;
mod page;
mod sample;
mod strips;
mod tree;
mod tsne;
mod vectors;

pub use colouring::{Colouring, ColouringError};
pub use figure::MapDrawing;
pub use kmeans::groups;
pub use layout::{Layout, LayoutError, LayoutSettings, layout, layout_steps};
pub use nearby::{Nearby, NearbyKind, nearby, nearby_steps};
pub use neighbours::{Found, most_similar};
pub use page::{MapPage, page};
pub use sample::shown;
pub use strips::{Strip, StripFile, Strips};
pub use vectors::Vectors;
