-- A file of the first version of the schema, as that version wrote it. Never to be changed.
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0, leaf TEXT, draft TEXT NOT NULL DEFAULT '',
    parameters TEXT NOT NULL DEFAULT '{}', deleted REAL);
CREATE TABLE messages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, parent TEXT,
    role TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL, finish TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '', receipt TEXT NOT NULL DEFAULT '{}');
CREATE INDEX messages_of_conversation ON messages (conversation);
INSERT INTO conversations VALUES
    ('c1', 'Crème brûlée', 100.5, 200.5, 1, 'a2', 'and the sugar', '{"temperature": 0.3}', NULL),
    ('c2', '滑动窗口', 300.0, 310.0, 0, 'a3', '', '{}', NULL),
    ('c3', 'Deleted long ago', 10.0, 11.0, 0, NULL, '', '{}', 12.0);
INSERT INTO messages VALUES
    (1, 'q1', 'c1', NULL, 'user', 'How do I make crème brûlée?', 101.0, '', '', '{}'),
    (2, 'a1', 'c1', 'q1', 'assistant', 'Slowly.', 102.0, 'stop', '', '{"tokens_per_second": 3.5}'),
    (3, 'a2', 'c1', 'q1', 'assistant', 'With cream.', 103.0, '', '', '{}'),
    (4, 'q3', 'c2', NULL, 'user', '解释滑动窗口', 301.0, '', '', '{}'),
    (5, 'a3', 'c2', 'q3', 'assistant', '最近的神经元', 302.0, 'stop', '', '{}');
PRAGMA user_version = 1;
