"""What SQLite is told, word for word. `python -m messages.mailroom.statements` makes it; no hand does."""

# ruff: noqa: E501 - compiled text keeps the compiler's own lines

STATEMENTS: dict[str, str] = {
    "create_store": """INSERT INTO store (id, schema_version, account, epoch, last_seq, handled_seq, chain) VALUES (:id, :schema_version, :account, :epoch, :last_seq, :handled_seq, :chain)""",
    "store": """SELECT store.schema_version, store.account, store.epoch, store.last_seq, store.handled_seq, store.chain
FROM store""",
    "set_schema_version": """UPDATE store SET schema_version=:arg_schema_version""",
    "take_epoch": """UPDATE store SET epoch=(store.epoch + 1)""",
    "advance": """UPDATE store SET last_seq=:arg_last_seq, handled_seq=:arg_handled_seq, chain=:arg_chain WHERE store.epoch = :arg_epoch""",
    "insert_mail": """INSERT INTO mail (seq, message_id, cause_seq, position, sender, recipient, sent_at, due_at, run_id, type, version, body, documents, attempts, handled_seq, handled_at, settings_sha256, chain, aside_reason) VALUES (:seq, :message_id, :cause_seq, :position, :sender, :recipient, :sent_at, :due_at, :run_id, :type, :version, :body, :documents, :attempts, :handled_seq, :handled_at, :settings_sha256, :chain, :aside_reason)""",
    "mark_handled": """UPDATE mail SET handled_seq=:arg_handled_seq, handled_at=:arg_handled_at, settings_sha256=:arg_settings_sha256, chain=:arg_chain WHERE mail.seq = :arg_seq""",
    "put_aside": """UPDATE mail SET aside_reason=:arg_reason WHERE mail.seq = :arg_seq""",
    "count_attempt": """UPDATE mail SET attempts=(mail.attempts + 1) WHERE mail.seq = :arg_seq""",
    "insert_document": """INSERT INTO documents (id, body) VALUES (:id, :body) ON CONFLICT DO NOTHING""",
    "name_run": """INSERT INTO runs (run_id, first_seq) VALUES (:arg_run_id, :arg_first_seq) ON CONFLICT DO NOTHING""",
    "open_run": """UPDATE runs SET opened_by=:arg_opened_by, plan_id=:arg_plan_id, plan_sha256=:arg_plan_sha256, opened_at=:arg_opened_at WHERE runs.run_id = :arg_run_id""",
    "close_run": """UPDATE runs SET closed_at=:arg_closed_at, outcome=:arg_outcome WHERE runs.run_id = :arg_run_id AND runs.closed_at IS NULL""",
    "insert_letter": """INSERT INTO letters (message_id, sender, recipient, sent_at, run_id, type, version, body, documents) VALUES (:arg_message_id, :arg_sender, :arg_recipient, :arg_sent_at, :arg_run_id, :arg_type, :arg_version, :arg_body, :arg_documents) ON CONFLICT DO NOTHING""",
    "new_letters": """SELECT letters.number, letters.message_id, letters.sender, letters.recipient, letters.sent_at, letters.run_id, letters.type, letters.version, letters.body, letters.documents
FROM letters
WHERE letters.imported_seq IS NULL ORDER BY letters.number""",
    "unhandled_letters": """SELECT letters.number, letters.message_id, letters.sender, letters.recipient, letters.sent_at, letters.run_id, letters.type, letters.version, letters.body, letters.documents
FROM letters
WHERE letters.imported_seq IS NULL UNION ALL SELECT letters.number, letters.message_id, letters.sender, letters.recipient, letters.sent_at, letters.run_id, letters.type, letters.version, letters.body, letters.documents
FROM letters
WHERE letters.message_id IN (SELECT mail.message_id
FROM mail
WHERE mail.message_id IS NOT NULL AND mail.handled_seq IS NULL AND mail.aside_reason IS NULL) AND letters.imported_seq IS NOT NULL ORDER BY number""",
    "newest_letter": """SELECT max(letters.number) AS max_1
FROM letters
WHERE letters.imported_seq IS NULL""",
    "mark_letter": """UPDATE letters SET imported_seq=:arg_imported_seq WHERE letters.number = :arg_number""",
    "waiting": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.handled_seq IS NULL AND mail.aside_reason IS NULL ORDER BY mail.recipient, mail.seq""",
    "inbox": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.recipient = :arg_recipient AND mail.handled_seq IS NULL AND mail.aside_reason IS NULL ORDER BY mail.seq""",
    "fold": """SELECT mail.seq AS seq, mail.message_id AS message_id, mail.cause_seq AS cause_seq, mail.position AS position, mail.sender AS sender, mail.recipient AS recipient, mail.sent_at AS sent_at, mail.due_at AS due_at, mail.run_id AS run_id, mail.type AS type, mail.version AS version, mail.body AS body, mail.documents AS documents, mail.attempts AS attempts, mail.handled_seq AS handled_seq, mail.handled_at AS handled_at, mail.settings_sha256 AS settings_sha256, mail.chain AS chain, mail.aside_reason AS aside_reason
FROM mail
WHERE mail.run_id IS NULL AND mail.recipient = :arg_recipient AND mail.handled_at IS NOT NULL AND mail.aside_reason IS NULL UNION ALL SELECT mail.seq AS seq, mail.message_id AS message_id, mail.cause_seq AS cause_seq, mail.position AS position, mail.sender AS sender, mail.recipient AS recipient, mail.sent_at AS sent_at, mail.due_at AS due_at, mail.run_id AS run_id, mail.type AS type, mail.version AS version, mail.body AS body, mail.documents AS documents, mail.attempts AS attempts, mail.handled_seq AS handled_seq, mail.handled_at AS handled_at, mail.settings_sha256 AS settings_sha256, mail.chain AS chain, mail.aside_reason AS aside_reason
FROM mail
WHERE mail.run_id IN (SELECT runs.run_id
FROM runs
WHERE runs.closed_at IS NULL) AND mail.recipient = :arg_recipient AND mail.handled_at IS NOT NULL AND mail.aside_reason IS NULL ORDER BY handled_seq""",
    "fold_outgoing": """SELECT outgoing.seq AS seq, outgoing.message_id AS message_id, outgoing.cause_seq AS cause_seq, outgoing.position AS position, outgoing.sender AS sender, outgoing.recipient AS recipient, outgoing.sent_at AS sent_at, outgoing.due_at AS due_at, outgoing.run_id AS run_id, outgoing.type AS type, outgoing.version AS version, outgoing.body AS body, outgoing.documents AS documents, outgoing.attempts AS attempts, outgoing.handled_seq AS handled_seq, outgoing.handled_at AS handled_at, outgoing.settings_sha256 AS settings_sha256, outgoing.chain AS chain, outgoing.aside_reason AS aside_reason
FROM mail JOIN mail AS outgoing ON outgoing.cause_seq = mail.seq
WHERE mail.run_id IS NULL AND mail.recipient = :arg_recipient AND mail.handled_at IS NOT NULL AND mail.aside_reason IS NULL UNION ALL SELECT outgoing.seq AS seq, outgoing.message_id AS message_id, outgoing.cause_seq AS cause_seq, outgoing.position AS position, outgoing.sender AS sender, outgoing.recipient AS recipient, outgoing.sent_at AS sent_at, outgoing.due_at AS due_at, outgoing.run_id AS run_id, outgoing.type AS type, outgoing.version AS version, outgoing.body AS body, outgoing.documents AS documents, outgoing.attempts AS attempts, outgoing.handled_seq AS handled_seq, outgoing.handled_at AS handled_at, outgoing.settings_sha256 AS settings_sha256, outgoing.chain AS chain, outgoing.aside_reason AS aside_reason
FROM mail JOIN mail AS outgoing ON outgoing.cause_seq = mail.seq
WHERE mail.run_id IN (SELECT runs.run_id
FROM runs
WHERE runs.closed_at IS NULL) AND mail.recipient = :arg_recipient AND mail.handled_at IS NOT NULL AND mail.aside_reason IS NULL ORDER BY cause_seq, position""",
    "history": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.recipient = :arg_recipient AND mail.run_id IS :arg_run_id AND mail.handled_seq > :arg_after AND mail.aside_reason IS NULL ORDER BY mail.handled_seq""",
    "history_outgoing": """SELECT outgoing.seq, outgoing.message_id, outgoing.cause_seq, outgoing.position, outgoing.sender, outgoing.recipient, outgoing.sent_at, outgoing.due_at, outgoing.run_id, outgoing.type, outgoing.version, outgoing.body, outgoing.documents, outgoing.attempts, outgoing.handled_seq, outgoing.handled_at, outgoing.settings_sha256, outgoing.chain, outgoing.aside_reason
FROM mail JOIN mail AS outgoing ON outgoing.cause_seq = mail.seq
WHERE mail.recipient = :arg_recipient AND mail.run_id IS :arg_run_id AND mail.handled_seq > :arg_after AND mail.aside_reason IS NULL ORDER BY outgoing.cause_seq, outgoing.position""",
    "steps": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.handled_seq > :arg_after AND mail.handled_seq <= :arg_upto ORDER BY mail.handled_seq""",
    "steps_outgoing": """SELECT outgoing.seq, outgoing.message_id, outgoing.cause_seq, outgoing.position, outgoing.sender, outgoing.recipient, outgoing.sent_at, outgoing.due_at, outgoing.run_id, outgoing.type, outgoing.version, outgoing.body, outgoing.documents, outgoing.attempts, outgoing.handled_seq, outgoing.handled_at, outgoing.settings_sha256, outgoing.chain, outgoing.aside_reason
FROM mail JOIN mail AS outgoing ON outgoing.cause_seq = mail.seq
WHERE mail.handled_seq > :arg_after AND mail.handled_seq <= :arg_upto ORDER BY outgoing.cause_seq, outgoing.position""",
    "mail": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.seq = :arg_seq""",
    "mail_by_id": """SELECT mail.seq
FROM mail
WHERE mail.message_id = :arg_message_id""",
    "attempts": """SELECT mail.attempts
FROM mail
WHERE mail.seq = :arg_seq""",
    "last_settings": """SELECT mail.settings_sha256
FROM mail
WHERE mail.handled_seq = (SELECT max(mail.handled_seq) AS max_1
FROM mail
WHERE mail.handled_seq IS NOT NULL)""",
    "highest_seq": """SELECT max(mail.seq) AS max_1
FROM mail""",
    "aside": """SELECT mail.seq, mail.message_id, mail.cause_seq, mail.position, mail.sender, mail.recipient, mail.sent_at, mail.due_at, mail.run_id, mail.type, mail.version, mail.body, mail.documents, mail.attempts, mail.handled_seq, mail.handled_at, mail.settings_sha256, mail.chain, mail.aside_reason
FROM mail
WHERE mail.aside_reason IS NOT NULL ORDER BY mail.seq""",
    "document": """SELECT documents.body
FROM documents
WHERE documents.id = :arg_id""",
    "runs": """SELECT runs.run_id, runs.plan_id, runs.plan_sha256, runs.opened_at, runs.closed_at, runs.outcome
FROM runs ORDER BY runs.opened_at, runs.opened_by""",
    "named_runs": """SELECT runs.run_id, runs.opened_at, runs.closed_at
FROM runs""",
    "door": """SELECT (SELECT store.epoch
FROM store) AS epoch, coalesce((SELECT max(mail.seq) AS max_1
FROM mail
WHERE mail.type = 'HaltTrading' AND mail.run_id IS NULL), 0) AS halted, coalesce((SELECT max(mail.seq) AS max_2
FROM mail
WHERE mail.type = 'ReduceTrading' AND mail.run_id IS NULL), 0) AS reduced, coalesce((SELECT max(mail.seq) AS max_3
FROM mail
WHERE mail.type = 'ResumeTrading' AND mail.run_id IS NULL AND mail.aside_reason IS NULL), 0) AS resumed, coalesce((SELECT max(letters.number) AS max_4
FROM letters
WHERE letters.imported_seq IS NULL AND letters.type = 'HaltTrading'), 0) AS halt_letter, coalesce((SELECT max(letters.number) AS max_5
FROM letters
WHERE letters.imported_seq IS NULL AND letters.type = 'ReduceTrading'), 0) AS reduce_letter, coalesce((SELECT max(letters.number) AS max_6
FROM letters
WHERE letters.imported_seq IS NULL AND letters.type = 'ResumeTrading'), 0) AS resume_letter, (EXISTS (SELECT *
FROM mail
WHERE mail.run_id = :arg_run_id AND mail.type = 'AbortRun')) OR (EXISTS (SELECT *
FROM letters
WHERE letters.imported_seq IS NULL AND letters.run_id = :arg_run_id AND letters.type = 'AbortRun')) AS abort_asked, EXISTS (SELECT *
FROM runs
WHERE runs.run_id = :arg_run_id AND runs.closed_at IS NOT NULL) AS run_closed, coalesce((SELECT min(mail.seq) AS min_1
FROM mail
WHERE mail.run_id = :arg_run_id AND mail.type = 'SubmitPlan' AND mail.aside_reason IS NULL AND mail.seq = (SELECT runs.opened_by
FROM runs
WHERE runs.run_id = :arg_run_id)), (SELECT min(mail.seq) AS min_1
FROM mail
WHERE mail.run_id = :arg_run_id AND mail.type = 'SubmitPlan' AND mail.aside_reason IS NULL)) AS approval, (SELECT max(mail.seq) AS max_7
FROM mail
WHERE mail.type = 'GateOpened' AND mail.run_id = :arg_run_id AND mail.aside_reason IS NULL) AS gate, EXISTS (SELECT *
FROM mail
WHERE mail.seq = :arg_call_seq) AS call_committed""",
    "quarantine": """INSERT INTO quarantine (seq, handled_seq, chain, reason, at) SELECT mail.seq, mail.handled_seq, mail.chain, :arg_reason AS anon_1, :arg_at AS anon_2
FROM mail
WHERE (mail.handled_seq >= :arg_first OR mail.cause_seq IN (SELECT mail.seq
FROM mail
WHERE mail.handled_seq >= :arg_first) AND mail.handled_seq IS NULL) AND (mail.seq NOT IN (SELECT quarantine.seq
FROM quarantine))""",
    "put_quarantined_aside": """UPDATE mail SET handled_seq=NULL, chain=NULL, aside_reason=coalesce(mail.aside_reason, :arg_reason) WHERE mail.seq IN (SELECT quarantine.seq
FROM quarantine) AND (mail.handled_seq IS NOT NULL OR mail.aside_reason IS NULL)""",
    "quarantined_runs": """SELECT runs.run_id
FROM runs
WHERE runs.closed_at IS NULL AND runs.run_id IN (SELECT mail.run_id
FROM mail
WHERE mail.seq IN (SELECT quarantine.seq
FROM quarantine)) ORDER BY runs.first_seq""",
}

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE documents (
id TEXT NOT NULL,
body TEXT NOT NULL,
PRIMARY KEY (id)
)""",
        """CREATE TABLE letters (
number INTEGER NOT NULL,
message_id TEXT NOT NULL,
sender TEXT NOT NULL,
recipient TEXT NOT NULL,
sent_at TEXT NOT NULL,
run_id TEXT,
type TEXT NOT NULL,
version INTEGER NOT NULL,
body TEXT NOT NULL,
documents TEXT NOT NULL,
imported_seq INTEGER,
PRIMARY KEY (number),
UNIQUE (message_id)
)""",
        """CREATE INDEX letters_new ON letters (number) WHERE imported_seq IS NULL""",
        """CREATE TABLE mail (
seq INTEGER NOT NULL,
message_id TEXT,
cause_seq INTEGER,
position INTEGER NOT NULL,
sender TEXT NOT NULL,
recipient TEXT NOT NULL,
sent_at TEXT NOT NULL,
due_at TEXT,
run_id TEXT,
type TEXT NOT NULL,
version INTEGER NOT NULL,
body TEXT NOT NULL,
documents TEXT NOT NULL,
attempts INTEGER NOT NULL,
handled_seq INTEGER,
handled_at TEXT,
settings_sha256 TEXT,
chain TEXT,
aside_reason TEXT,
PRIMARY KEY (seq),
CONSTRAINT mail_once UNIQUE (cause_seq, position)
)""",
        """CREATE INDEX mail_aside ON mail (seq) WHERE aside_reason IS NOT NULL""",
        """CREATE UNIQUE INDEX mail_handled ON mail (handled_seq) WHERE handled_seq IS NOT NULL""",
        """CREATE UNIQUE INDEX mail_outside ON mail (message_id) WHERE message_id IS NOT NULL""",
        """CREATE INDEX mail_run ON mail (run_id, type, seq)""",
        """CREATE INDEX mail_waiting ON mail (recipient, seq) WHERE handled_seq IS NULL AND aside_reason IS NULL""",
        """CREATE TABLE quarantine (
seq INTEGER NOT NULL,
handled_seq INTEGER,
chain TEXT,
reason TEXT NOT NULL,
at TEXT NOT NULL,
PRIMARY KEY (seq)
)""",
        """CREATE TABLE runs (
run_id TEXT NOT NULL,
first_seq INTEGER NOT NULL,
opened_by INTEGER,
plan_id TEXT,
plan_sha256 TEXT,
opened_at TEXT,
closed_at TEXT,
outcome TEXT,
PRIMARY KEY (run_id)
)""",
        """CREATE INDEX runs_open ON runs (run_id) WHERE closed_at IS NULL""",
        """CREATE TABLE store (
id INTEGER NOT NULL,
schema_version INTEGER NOT NULL,
account TEXT NOT NULL,
epoch INTEGER NOT NULL,
last_seq INTEGER NOT NULL,
handled_seq INTEGER NOT NULL,
chain TEXT NOT NULL,
PRIMARY KEY (id)
)""",
    ),
)
