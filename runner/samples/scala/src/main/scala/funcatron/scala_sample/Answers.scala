package funcatron.scala_sample

import funcatron.intf.{Context, Func, MetaResponse, StatusException}

import java.util.{Map => JMap}

/** Answers with the bytes that were sent, and their content type. */
class Echo extends Func[Array[Byte]] {
  def apply(bytes: Array[Byte], context: Context) = {
    val content = Option(context.contentType)
    new MetaResponse {
      override def getHeaders: JMap[String, String] = JMap.of("X-Sample-Length", bytes.length.toString)

      override def getContentType = content.getOrElse("application/octet-stream")

      override def getBody = bytes
    }
  }
}

case class Content(id: Long, text: String, ratio: Double, tags: List[String])

/** Answers with the record that was sent, read into Scala's own types and written again. */
class Record extends DecoderOMatic[Content] {
  def apply(content: Content, context: Context) = content

  protected def ct: Class[Content] = classOf[Content]
}

/** Answers with its parameters, each of the type that the Swagger document declares. */
class Params extends Encoder {
  def apply(none: Object, context: Context) = {
    val all = context.getMergedParams
    List("id", "name", "limit", "on", "tags").map(name => name -> all.get(name)).toMap
  }
}

/** Answers with the status that is asked for, headers of its own, and a text where the status allows one. */
class Status extends Encoder {
  def apply(none: Object, context: Context) = {
    val code = context.getPathParams.get("code").asInstanceOf[Number].intValue
    new MetaResponse {
      override def getResponseCode = code

      override def getHeaders: JMap[String, String] =
        if (code / 100 == 3) JMap.of("X-Sample-Status", code.toString, "Location", "/elsewhere")
        else JMap.of("X-Sample-Status", code.toString)

      override def getContentType = "text/plain"

      override def getBody: Array[Byte] = if (code == 204 || code == 304) null else s"status $code".getBytes("UTF-8")
    }
  }
}

/** Fails as it is told: by an exception that nobody expected, or by one that says how it is to be answered. */
class Fail extends Encoder {
  def apply(none: Object, context: Context): Object = context.getPathParams.get("how") match {
    case "refuse" => throw new StatusException(422, "the sample refuses on purpose")
    case _        => throw new IllegalStateException("the sample fails on purpose")
  }
}

/** Logs a text at two levels, and answers with the id that finds the lines. */
class Log extends Encoder {
  def apply(none: Object, context: Context) = {
    val text = context.getQueryParams.get("text").toString
    context.getLogger.info(text)
    context.getLogger.warning(text)
    Map("requestId" -> context.requestId)
  }
}

/** Answers after some milliseconds, which may be longer than it has: then it is interrupted. */
class Sleep extends Encoder {
  def apply(none: Object, context: Context) = {
    val ms = context.getPathParams.get("ms").asInstanceOf[Number]
    Thread.sleep(ms.longValue)
    Map("slept" -> ms)
  }
}
