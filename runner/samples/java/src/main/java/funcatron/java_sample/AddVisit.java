package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.intf.StatusException;
import funcatron.java_sample.Visits.Visit;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * Writes first and counts then: a visit too many is taken back by the rollback that its
 * exception brings, and so is one that takes too long.
 */
public class AddVisit implements Func<AddVisit.Visitor> {
    /** What it takes. */
    public record Visitor(String name) {}

    @Override
    public Object post(Visitor visitor, Context context) throws Exception {
        Connection visits = Visits.transaction(context);
        Visit visit = add(visits, visitor.name(), Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());

        Number most = (Number) context.properties().getOrDefault("maxVisits", 1000);
        long count = count(visits, visit.name());
        if (count > most.longValue()) {
            throw new StatusException(409, visit.name() + " has visited " + most + " times already");
        }

        Number sleep = (Number) context.getQueryParams().getOrDefault("sleep", 0);
        Thread.sleep(sleep.longValue()); // interrupted when the request's time is over
        context.getLogger().info("visited: " + visit.name() + ", " + count);
        return visit;
    }

    @Override
    public int statusCode() {
        return 201;
    }

    @Override
    public Object apply(Visitor visitor, Context context) {
        throw new StatusException(405, "a visit is added by POST");
    }

    private static Visit add(Connection visits, String name, String time) throws SQLException {
        try (PreparedStatement insert = visits.prepareStatement("INSERT INTO visits (name, time) VALUES (?, ?) RETURNING id")) {
            insert.setString(1, name);
            insert.setString(2, time);
            try (ResultSet rows = insert.executeQuery()) {
                rows.next();
                return new Visit(rows.getLong(1), name, time);
            }
        }
    }

    private static long count(Connection visits, String name) throws SQLException {
        try (PreparedStatement count = visits.prepareStatement("SELECT count(*) FROM visits WHERE name = ?")) {
            count.setString(1, name);
            try (ResultSet rows = count.executeQuery()) {
                rows.next();
                return rows.getLong(1);
            }
        }
    }
}
