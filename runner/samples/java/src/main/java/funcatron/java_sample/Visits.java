package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.StatusException;
import java.sql.Connection;
import java.sql.Statement;

/**
 * The guest book, in the database that the property "db" describes:
 *
 * <pre>{"db": {"type": "database", "url": "jdbc:sqlite:/var/lib/visits.db?busy_timeout=5000&transaction_mode=IMMEDIATE"}}</pre>
 *
 * (SQLite lets one write at a time: the others wait, up to busy_timeout, from their begin
 * on.) A Runner hands each request a transaction, which is committed when the function
 * returns in time and rolled back when it throws.
 */
final class Visits {
    /** One row. The time is RFC 3339, UTC. */
    record Visit(long id, String name, String time) {}

    private Visits() {}

    /** The request's transaction, in which the table is there. It is not to be closed. */
    static Connection transaction(Context context) throws Exception {
        Connection connection = context.vendForName("db", Connection.class).orElseThrow(() -> new StatusException(
                503, "service \"db\" is not configured: enable the bundle with props {\"db\": {\"type\": \"database\", \"url\": ...}}"));
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, time TEXT NOT NULL)");
        }
        return connection;
    }
}
