package funcatron.scala_sample

import funcatron.intf.{Context, StatusException}

import java.sql.{Connection, ResultSet}
import java.time.Instant
import java.time.temporal.ChronoUnit
import scala.collection.mutable.ListBuffer
import scala.util.Using

case class Visitor(name: String)

/** One row. The time is RFC 3339, UTC. */
case class Visit(id: Long, name: String, time: String)

/** The guest book, in the database that the property "db" describes:
  *
  * {{{{"db": {"type": "database", "url": "jdbc:sqlite:/var/lib/visits.db?busy_timeout=5000&transaction_mode=IMMEDIATE"}}}}}
  *
  * (SQLite lets one write at a time: the others wait, up to busy_timeout, from their begin
  * on.) A Runner hands each request a transaction, which is committed when the function
  * returns in time and rolled back when it throws.
  */
object Visits {

  /** The request's transaction, in which the table is there. It is not to be closed. */
  def transaction(context: Context): Connection = {
    val connection = context.vendForName("db", classOf[Connection]).orElseThrow(() =>
      new StatusException(503, """service "db" is not configured: enable the bundle with props {"db": {"type": "database", "url": ...}}"""))
    Using.resource(connection.createStatement()) {
      _.execute("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, time TEXT NOT NULL)")
    }
    connection
  }

  /** All rows of a query, each as row makes it. */
  def select[T](visits: Connection, query: String, parameters: Any*)(row: ResultSet => T): List[T] =
    Using.resource(visits.prepareStatement(query)) { statement =>
      for ((p, i) <- parameters.zipWithIndex) statement.setObject(i + 1, p)
      Using.resource(statement.executeQuery()) { rows =>
        val all = ListBuffer.empty[T]
        while (rows.next()) all += row(rows)
        all.toList
      }
    }
}

/** Writes first and counts then: a visit too many is taken back by the rollback that its
  * exception brings, and so is one that takes too long.
  */
class AddVisit extends DecoderOMatic[Visitor] {
  def apply(visitor: Visitor, context: Context) = {
    val visits = Visits.transaction(context)
    val time = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString
    val id = Visits.select(visits, "INSERT INTO visits (name, time) VALUES (?, ?) RETURNING id", visitor.name, time)(_.getLong(1)).head

    val most = context.properties.getOrDefault("maxVisits", 1000).asInstanceOf[Number].longValue
    val count = Visits.select(visits, "SELECT count(*) FROM visits WHERE name = ?", visitor.name)(_.getLong(1)).head
    if (count > most) throw new StatusException(409, s"${visitor.name} has visited $most times already")

    Thread.sleep(context.getQueryParams.get("sleep").asInstanceOf[Number].longValue) // interrupted when the request's time is over
    context.getLogger.info(s"visited: ${visitor.name}, $count")
    Visit(id, visitor.name, time)
  }

  override def statusCode = 201

  protected def ct: Class[Visitor] = classOf[Visitor]
}

/** Lists the latest visits, the latest first: those of one name, or everybody's. */
class ListVisits extends Encoder {
  def apply(none: Object, context: Context) = {
    val name = context.getQueryParams.get("name")
    val limit = context.getQueryParams.get("limit") // the Swagger document gives its default
    Visits.select(Visits.transaction(context), "SELECT id, name, time FROM visits WHERE ?1 IS NULL OR name = ?1 ORDER BY id DESC LIMIT ?2", name, limit) {
      row => Visit(row.getLong(1), row.getString(2), row.getString(3))
    }
  }
}
