//! Metrics (every name once), logs, probes.
