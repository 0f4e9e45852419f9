package funcatron.scala_sample

import funcatron.intf.{Context, MetaResponse}

case class Data(name: String, age: Long)

/** Answers each method differently: with a list, with one Data, and with a status and text of its own. */
class PostOrDelete extends DecoderOMatic[Data] {
  def apply(data: Data, context: Context) = {
    // The Swagger document guarantees the path parameter cnt.
    val cnt = context.getPathParams.get("cnt").asInstanceOf[Number].longValue

    context.getMethod match {
      case "delete" =>
        Data("Deleted " + cnt, cnt)

      case "post" =>
        (1L to cnt).map(i => Data(data.name + i, data.age + i))

      case other =>
        new MetaResponse {
          override def getResponseCode = 400

          override def getContentType = "text/plain"

          override def getBody = ("Expecting a POST or DELETE, but got " + other).getBytes("UTF-8")
        }
    }
  }

  protected def ct: Class[Data] = classOf[Data]
}
