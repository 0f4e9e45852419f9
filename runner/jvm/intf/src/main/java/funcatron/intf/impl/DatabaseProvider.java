package funcatron.intf.impl;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import funcatron.intf.Accumulator;
import funcatron.intf.ServiceVendor;
import funcatron.intf.ServiceVendorProvider;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.SQLException;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.sql.DataSource;

/**
 * Services of type {@code database}: connections of a HikariCP pool, each in a
 * transaction. Their properties:
 *
 * <pre>
 * url         what the driver opens
 * username    who opens it
 * password
 * classname   the driver's class, or a DataSource's; without it, the driver in the jar that knows the url
 * readOnly    true makes the transactions read-only
 * isolation   TRANSACTION_READ_COMMITTED, TRANSACTION_SERIALIZABLE, ...; the default is the driver's
 * maximumPoolSize, minimumIdle       connections; 10 and 1
 * connectionTimeout, idleTimeout, maxLifetime   ms; 30000, 600000, 1800000
 * </pre>
 *
 * All others that are strings, numbers or booleans go to the driver.
 */
final class DatabaseProvider implements ServiceVendorProvider {
    private static final Set<String> OURS = Set.of(
            "type", "url", "username", "password", "classname", "readOnly", "isolation", "maximumPoolSize", "minimumIdle",
            "connectionTimeout", "idleTimeout", "maxLifetime");

    private final ClassLoader loader;

    DatabaseProvider(ClassLoader loader) {
        this.loader = loader;
    }

    @Override
    public String forType() {
        return "database";
    }

    @Override
    public Optional<ServiceVendor<?>> buildVendor(String name, Map<String, Object> properties, Logger logger) {
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(loader); // by which HikariCP and drivers find classes
        try {
            // This constructor opens nothing: the first connection that is asked for does.
            HikariDataSource pool = new HikariDataSource();
            configure(pool, name, properties);
            open(pool, logger);
            return Optional.of(new Database(name, pool));
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    /**
     * Opens the pool while the rest of the bundle starts: to load a driver takes longer than
     * a first request should. That it fails is told to those who ask for a connection.
     */
    private static void open(HikariDataSource pool, Logger logger) {
        Thread opener = new Thread(() -> {
            try (Connection first = pool.getConnection()) {
                logger.log(Level.FINE, "{0} is open: {1}", new Object[] {pool.getPoolName(), first});
            } catch (SQLException | RuntimeException e) {
                logger.log(Level.FINE, pool.getPoolName() + " is not open", e);
            }
        }, "open " + pool.getPoolName());
        opener.setDaemon(true);
        opener.start();
    }

    private void configure(HikariConfig config, String name, Map<String, Object> properties) {
        config.setPoolName(name);
        // Off while a connection is vended only: an idle one must not be in a transaction, which some
        // drivers begin with a lock (SQLite's transaction_mode=IMMEDIATE).
        config.setAutoCommit(true);
        config.setMinimumIdle(1);
        String url = (String) properties.get("url");
        String classname = (String) properties.get("classname");
        if (classname != null && isDataSource(classname)) {
            config.setDataSourceClassName(classname);
            if (url != null) {
                config.addDataSourceProperty("url", url);
            }
        } else if (url == null) {
            throw new IllegalArgumentException("its properties have no \"url\"");
        } else {
            config.setDriverClassName(classname != null ? classname : driverOf(url));
            config.setJdbcUrl(url);
        }
        properties.forEach((key, value) -> set(config, key, value));
    }

    private static void set(HikariConfig config, String key, Object value) {
        switch (key) {
            case "username" -> config.setUsername((String) value);
            case "password" -> config.setPassword((String) value);
            case "readOnly" -> config.setReadOnly(Boolean.parseBoolean(value.toString()));
            case "isolation" -> config.setTransactionIsolation((String) value);
            case "maximumPoolSize" -> config.setMaximumPoolSize((int) number(key, value));
            case "minimumIdle" -> config.setMinimumIdle((int) number(key, value));
            case "connectionTimeout" -> config.setConnectionTimeout(number(key, value));
            case "idleTimeout" -> config.setIdleTimeout(number(key, value));
            case "maxLifetime" -> config.setMaxLifetime(number(key, value));
            default -> {
                if (!OURS.contains(key) && (value instanceof String || value instanceof Number || value instanceof Boolean)) {
                    config.addDataSourceProperty(key, value.toString());
                }
            }
        }
    }

    private static long number(String key, Object value) {
        try {
            return value instanceof Number n ? n.longValue() : Long.parseLong(value.toString());
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("its " + key + " is no number", e);
        }
    }

    private boolean isDataSource(String classname) {
        try {
            return DataSource.class.isAssignableFrom(Class.forName(classname, false, loader));
        } catch (ClassNotFoundException e) {
            throw new IllegalArgumentException("the jar has no class " + classname, e);
        }
    }

    /**
     * The driver in the jar for a URL. DriverManager does not do: it looks for drivers once
     * in the life of a process, and would not see those of a bundle that comes later.
     */
    private String driverOf(String url) {
        for (Driver driver : ServiceLoader.load(Driver.class, loader)) {
            try {
                if (driver.acceptsURL(url)) {
                    return driver.getClass().getName();
                }
            } catch (SQLException e) {
                throw new IllegalArgumentException("its url is not one that " + driver.getClass().getName() + " understands", e);
            }
        }
        throw new IllegalArgumentException("no JDBC driver in the jar knows its url: add the driver to the bundle's dependencies");
    }

    private record Database(String name, HikariDataSource pool) implements ServiceVendor<Connection> {
        @Override
        public Class<Connection> type() {
            return Connection.class;
        }

        @Override
        public Connection vend(Accumulator accumulator) throws SQLException {
            Connection connection = pool.getConnection();
            try {
                connection.setAutoCommit(false);
                accumulator.accumulate(connection, this);
            } catch (SQLException | RuntimeException e) {
                discard(connection);
                throw e;
            }
            return connection;
        }

        /**
         * Ends the transaction. To switch auto-commit on is what commits (Connection.setAutoCommit),
         * and begins no other.
         */
        @Override
        public void release(Connection connection, boolean success) throws SQLException {
            if (connection.isClosed()) {
                if (success) {
                    throw new SQLException("the function has closed the connection, and so has its transaction been rolled back");
                }
                return;
            }
            try {
                if (!success) {
                    connection.rollback();
                }
                connection.setAutoCommit(true);
                connection.close(); // back to the pool
            } catch (SQLException | RuntimeException e) {
                discard(connection);
                if (success) {
                    throw e;
                }
            }
        }

        /** Closes the connection for good, and with it whatever it was in the middle of. */
        private void discard(Connection connection) throws SQLException {
            pool.evictConnection(connection);
            connection.close();
        }

        @Override
        public void endLife() {
            pool.close();
        }
    }
}
