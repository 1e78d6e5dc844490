/* How the store came to be as it is: number i of these makes version i + 1 of version i. What was released is never changed;
 * something new is a line at the end. */
#ifndef PFM_SERVE_STORE_MIGRATIONS_H
#define PFM_SERVE_STORE_MIGRATIONS_H

static const char *const pfm_store_migrations[] = {
    /* Reports: `images` is a list of {"hash","kind","frame","window"}, times are seconds since 1970. */
    "CREATE TABLE reports(id TEXT PRIMARY KEY NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL, accepted INTEGER, "
    "version INTEGER NOT NULL, model TEXT NOT NULL, indication TEXT NOT NULL, draft TEXT NOT NULL, text TEXT NOT NULL, "
    "complete INTEGER NOT NULL, images TEXT NOT NULL) STRICT;"
    "CREATE INDEX reports_by_time ON reports(created);",
    /* Studies: what is rated, by whom and how. Of a rater's link a hash is kept. An item that a rater has passed has a time
     * in `rated`, and no score where there was none to give. Changes are what undo takes back: how the item was before. */
    "CREATE TABLE studies(id TEXT PRIMARY KEY NOT NULL, created INTEGER NOT NULL, closed INTEGER, name TEXT NOT NULL, "
    "rubric TEXT NOT NULL, settings TEXT NOT NULL, sheet_key TEXT NOT NULL) STRICT;"
    "CREATE TABLE study_raters(study TEXT NOT NULL REFERENCES studies(id) ON DELETE CASCADE, rater INTEGER NOT NULL, "
    "link_hash TEXT NOT NULL UNIQUE, PRIMARY KEY(study, rater)) STRICT;"
    "CREATE TABLE study_items(study TEXT NOT NULL, rater INTEGER NOT NULL, n INTEGER NOT NULL, code TEXT NOT NULL, "
    "shown TEXT NOT NULL, score INTEGER, comment TEXT NOT NULL, rated INTEGER, PRIMARY KEY(study, rater, n), "
    "FOREIGN KEY(study, rater) REFERENCES study_raters(study, rater) ON DELETE CASCADE) STRICT;"
    "CREATE TABLE study_changes(study TEXT NOT NULL, rater INTEGER NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL, "
    "n INTEGER NOT NULL, score INTEGER, comment TEXT NOT NULL, rated INTEGER, undone INTEGER NOT NULL, "
    "PRIMARY KEY(study, rater, number), "
    "FOREIGN KEY(study, rater) REFERENCES study_raters(study, rater) ON DELETE CASCADE) STRICT;",
    /* Who accepted a report, where that was told: a person's name as DICOM has it, and an organization. */
    "ALTER TABLE reports ADD COLUMN observer TEXT; ALTER TABLE reports ADD COLUMN organization TEXT;",
};

#endif
