//! wip
mod components;
mod kmeans;
mod neighbours;
mod tree;
mod tsne;
mod vectors;
