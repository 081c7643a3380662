//! All integration tests in one binary, so that the dependencies are linked once.

mod command_line;
mod common;
mod datasets;
mod device_parity;
mod embed_command;
mod encoders;
mod env;
mod faults;
mod frames_shown;
mod fuzz_corpus;
mod hostile;
mod learning_commands;
mod model_parity;
mod plot_command;
mod recipes;
mod server;
mod supply;
mod torch_file;
mod weights_command;
mod weights_files;
mod weights_hostile;
mod weights_network;
mod weights_world;
