//! Builds and runs it all: sources, basin, lanes; shutdown. The only room that starts tasks.
