//! `results.json`, `events.jsonl` and the verdict table.
