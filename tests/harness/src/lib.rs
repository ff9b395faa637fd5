//! Real brokers, worker processes and Python peers for tests.
