import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.Properties;

/**
 * Uses ClickHouse's JDBC driver against a server, as a program of somebody's would: `Drive URL [PROPERTY=VALUE]…`. It prints
 * what it saw, a NAME=VALUE a line, and ends with exit code 1 at the first surprise.
 */
public class Drive {
    private static final int INSERTED = 20_000;
    private static final Timestamp MOMENT = Timestamp.from(Instant.parse("2026-01-05T04:30:00.123Z"));

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        for (String property : Arrays.copyOfRange(args, 1, args.length)) {
            String[] pair = property.split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        try (Connection server = DriverManager.getConnection(args[0], properties)) {
            try (Statement statement = server.createStatement()) {
                statement.execute("CREATE TABLE j (a UInt64, b String, c Nullable(Decimal(18, 2)), d DateTime64(3, 'UTC'),"
                    + " e Array(String), f Bool, CONSTRAINT small CHECK a < 1000000) ENGINE = MergeTree ORDER BY a");
                say("updated", statement.executeUpdate("INSERT INTO j (a, b) VALUES (1000, 'by hand')"));
                statement.execute("TRUNCATE TABLE j");
            }
            say("batch", insert(server, 0, INSERTED));
            say("refused", failure(() -> insert(server, 1_000_000 - 5, 10)));
            say("found", bound(server));
            say("sum", longAnswer(server));
            say("unknown", failure(() -> run(server, "SELECT * FROM nowhere")));
            say("syntax", failure(() -> run(server, "SELEKT 1")));
            say("late", failure(() -> run(server, "SELECT throwIf(number = 900000) FROM numbers(1000000)")));
            try (ResultSet columns = server.getMetaData().getColumns(null, server.getSchema(), "j", null)) {
                StringBuilder names = new StringBuilder();
                while (columns.next()) {
                    names.append(columns.getString("COLUMN_NAME"));
                }
                say("columns", names);
            }
        }
    }

    private static String text(long number) {
        return "it's \\ \n ☃ ? " + number;
    }

    private static BigDecimal amount(long number) {
        return number % 2 == 0 ? null : new BigDecimal("12.34");
    }

    private static int insert(Connection server, long first, int count) throws SQLException {
        try (PreparedStatement insert = server.prepareStatement("INSERT INTO j (a, b, c, d, e, f) VALUES (?, ?, ?, ?, ?, ?)")) {
            for (long number = first; number < first + count; number++) {
                insert.setLong(1, number);
                insert.setString(2, text(number));
                insert.setBigDecimal(3, amount(number));
                insert.setTimestamp(4, MOMENT);
                insert.setArray(5, server.createArrayOf("String", new Object[] {"x", "it's"}));
                insert.setBoolean(6, number % 3 == 0);
                insert.addBatch();
            }
            return Arrays.stream(insert.executeBatch()).sum();
        }
    }

    private static int bound(Connection server) throws SQLException {
        String sql = "SELECT * FROM j WHERE a > ? AND b LIKE ? AND d = ? ORDER BY a LIMIT 2";
        try (PreparedStatement select = server.prepareStatement(sql)) {
            select.setLong(1, 7);
            select.setString(2, "it's%?%");
            select.setTimestamp(3, MOMENT);
            int found = 0;
            try (ResultSet rows = select.executeQuery()) {
                for (long number = 8; rows.next(); number++, found++) {
                    same(number, rows.getLong("a"));
                    same(text(number), rows.getString("b"));
                    same(amount(number), rows.getBigDecimal("c"));
                    same(MOMENT.toInstant(), rows.getTimestamp("d").toInstant());
                    same("[x, it's]", Arrays.toString((Object[]) rows.getArray("e").getArray()));
                    same(number % 3 == 0, rows.getBoolean("f"));
                }
            }
            return found;
        }
    }

    private static long longAnswer(Connection server) throws SQLException {
        try (Statement statement = server.createStatement();
                ResultSet rows = statement.executeQuery("SELECT number, toString(number) FROM numbers(300000)")) {
            long sum = 0;
            while (rows.next()) {
                same(Long.toString(rows.getLong(1)), rows.getString(2));
                sum += rows.getLong(1);
            }
            return sum;
        }
    }

    private static int run(Connection server, String sql) throws SQLException {
        try (Statement statement = server.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            int count = 0;
            while (rows.next()) {
                count++;
            }
            return count;
        }
    }

    private interface Attempt {
        int run() throws SQLException;
    }

    private static int failure(Attempt attempt) {
        try {
            throw new AssertionError("it went well: " + attempt.run());
        } catch (SQLException refusal) {
            return refusal.getErrorCode();
        }
    }

    private static void same(Object expected, Object found) {
        if (expected == null ? found != null : !expected.equals(found)) {
            throw new AssertionError("found " + found + " where " + expected + " was inserted");
        }
    }

    private static void say(String name, Object value) {
        System.out.println(name + "=" + value);
    }
}
