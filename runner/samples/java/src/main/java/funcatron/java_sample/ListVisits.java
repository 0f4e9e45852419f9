package funcatron.java_sample;

import funcatron.intf.Context;
import funcatron.intf.Func;
import funcatron.java_sample.Visits.Visit;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.List;

/** Lists the latest visits, the latest first: those of one name, or everybody's. */
public class ListVisits implements Func<Object> {
    @Override
    public Object apply(Object none, Context context) throws Exception {
        String name = (String) context.getQueryParams().get("name");
        Number limit = (Number) context.getQueryParams().get("limit"); // the Swagger document gives its default
        List<Visit> all = new ArrayList<>();
        try (PreparedStatement select = Visits.transaction(context)
                .prepareStatement("SELECT id, name, time FROM visits WHERE ?1 IS NULL OR name = ?1 ORDER BY id DESC LIMIT ?2")) {
            select.setString(1, name);
            select.setInt(2, limit.intValue());
            try (ResultSet rows = select.executeQuery()) {
                while (rows.next()) {
                    all.add(new Visit(rows.getLong(1), rows.getString(2), rows.getString(3)));
                }
            }
        }
        return all;
    }
}
