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
};

#endif
