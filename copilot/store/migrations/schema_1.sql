-- The tables as they were before migrations (schema version 1); {serial} numbers rows by itself.
CREATE TABLE alert_leases (
  fingerprint TEXT NOT NULL,
  starts_at DOUBLE PRECISION NOT NULL,
  "until" DOUBLE PRECISION,
  seen_at DOUBLE PRECISION NOT NULL,
  missed INTEGER NOT NULL,
  PRIMARY KEY (fingerprint)
);
CREATE INDEX alert_leases_due ON alert_leases ("until");
CREATE TABLE changes (
  "key" TEXT NOT NULL,
  "at" DOUBLE PRECISION NOT NULL,
  service TEXT NOT NULL,
  kind TEXT NOT NULL,
  from_version TEXT NOT NULL,
  to_version TEXT NOT NULL,
  summary TEXT NOT NULL,
  accepted_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY ("key")
);
CREATE INDEX changes_newest ON changes ("at");
CREATE TABLE conversations (
  id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  language TEXT NOT NULL,
  opened_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL,
  summary TEXT NOT NULL,
  folded INTEGER NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX conversations_newest ON conversations (updated_at);
CREATE TABLE halt (
  id INTEGER NOT NULL,
  "by" TEXT NOT NULL,
  reason TEXT NOT NULL,
  "at" DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE incidents (
  id TEXT NOT NULL,
  status TEXT NOT NULL,
  opened_at DOUBLE PRECISION NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX incidents_newest ON incidents (opened_at, id);
CREATE INDEX incidents_status ON incidents (status);
CREATE TABLE journal (
  seq BIGINT NOT NULL,
  "at" DOUBLE PRECISION NOT NULL,
  incident_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  "by" TEXT NOT NULL,
  detail TEXT NOT NULL,
  previous TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (seq)
);
CREATE INDEX journal_incident ON journal (incident_id, seq);
CREATE TABLE journal_head (
  id INTEGER NOT NULL,
  seq BIGINT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE locks (
  target TEXT NOT NULL,
  holder TEXT NOT NULL,
  "until" DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (target)
);
CREATE INDEX locks_holder ON locks (holder);
CREATE TABLE outbox (
  "key" TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  started_at DOUBLE PRECISION NOT NULL,
  finished_at DOUBLE PRECISION,
  result TEXT NOT NULL,
  PRIMARY KEY ("key")
);
CREATE TABLE outcomes (
  plan_id TEXT NOT NULL,
  playbook_id TEXT NOT NULL,
  fault_kind TEXT NOT NULL,
  component TEXT NOT NULL,
  component_kind TEXT NOT NULL,
  recovered INTEGER NOT NULL,
  "at" DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (plan_id)
);
CREATE INDEX outcomes_newest ON outcomes ("at");
CREATE TABLE schema_version (
  id INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE silences (
  id TEXT NOT NULL,
  ends_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX silences_end ON silences (ends_at);
CREATE TABLE alerts (
  "key" {serial},
  fingerprint TEXT NOT NULL,
  starts_at DOUBLE PRECISION NOT NULL,
  status TEXT NOT NULL,
  accepted_at DOUBLE PRECISION NOT NULL,
  document TEXT NOT NULL,
  incident_id TEXT,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  decided_at DOUBLE PRECISION,
  CONSTRAINT alerts_identity UNIQUE (fingerprint, starts_at, status),
  FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
CREATE INDEX alerts_incident ON alerts (incident_id, "key");
CREATE INDEX alerts_undecided ON alerts ("key") WHERE action = '';
CREATE TABLE approvals (
  plan_id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  status TEXT NOT NULL,
  requested_at DOUBLE PRECISION NOT NULL,
  expires_at DOUBLE PRECISION NOT NULL,
  "plan" TEXT NOT NULL,
  given TEXT NOT NULL,
  changed_at DOUBLE PRECISION NOT NULL,
  consumed_by TEXT NOT NULL,
  PRIMARY KEY (plan_id),
  FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
CREATE INDEX approvals_incident ON approvals (incident_id, status);
CREATE TABLE runs (
  id TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  status TEXT NOT NULL,
  owner TEXT NOT NULL,
  lease_until DOUBLE PRECISION NOT NULL,
  attempt INTEGER NOT NULL,
  created_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT runs_number UNIQUE (incident_id, number),
  FOREIGN KEY(incident_id) REFERENCES incidents (id)
);
CREATE UNIQUE INDEX runs_one_running ON runs (incident_id) WHERE status = 'running';
CREATE INDEX runs_queue ON runs (status, created_at);
CREATE TABLE turns (
  conversation_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  question TEXT NOT NULL,
  incident_id TEXT NOT NULL,
  "key" TEXT NOT NULL,
  status TEXT NOT NULL,
  asked_at DOUBLE PRECISION NOT NULL,
  answered_at DOUBLE PRECISION,
  answer TEXT NOT NULL,
  PRIMARY KEY (conversation_id, number),
  FOREIGN KEY(conversation_id) REFERENCES conversations (id)
);
CREATE INDEX turns_key ON turns ("key");
