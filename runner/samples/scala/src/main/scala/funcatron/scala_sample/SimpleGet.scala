package funcatron.scala_sample

import funcatron.intf.Context

import java.time.format.DateTimeFormatter
import java.time.{ZoneOffset, ZonedDateTime}
import java.util.Locale

/** Serves /simple and /simple/{num}; num is there on the latter. */
class SimpleGet extends Encoder {
  def apply(none: Object, context: Context) = {
    context.getLogger.info("In Scala 'SimpleGet... yay!")

    val num = Option(context.getPathParams.get("num")).map("num-param" -> _)
    Map(
      "bools" -> true,
      "numero" -> math.random(),
      "query-params" -> context.getQueryParams,
      "time" -> ZonedDateTime.now(ZoneOffset.UTC).format(SimpleGet.time)
    ) ++ num
  }
}

object SimpleGet {
  /** How a java.util.Date prints where the time zone is UTC. */
  private val time = DateTimeFormatter.ofPattern("EEE MMM dd HH:mm:ss 'UTC' yyyy", Locale.US)
}
