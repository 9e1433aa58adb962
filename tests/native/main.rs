//! Native tests of the library and of the command line, against the reference.

mod ahead;
mod cli;
mod cli_batch;
mod cli_batch_faults;
mod cli_eval;
mod cli_pictures;
mod golden;
mod gpu;
mod http;
mod kept;
mod memory;
mod ops_attention;
mod ops_norm;
mod ops_product;
#[cfg(feature = "bench")]
mod ops_shapes;
#[cfg(feature = "bench")]
mod ops_tiles;
mod order;
mod picture_files;
mod picture_makers;
mod pictures;
mod previews;
mod processor;
mod reuse;
mod selftest;
mod site;
mod styles;
mod support;
mod weights;
mod whole_runs;
