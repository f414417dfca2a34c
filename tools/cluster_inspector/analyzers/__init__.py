"""One file per stage or object: each looks at a view of the state and yields what is broken."""
