//! Reads the records of a run and computes what was lost, duplicated, reordered or applied twice. Shares no code with what it checks.
