package funcatron.scala_sample

import funcatron.intf.impl.ContextImpl
import funcatron.intf.{Context, MetaResponse, StatusException}
import org.junit.jupiter.api.Assertions.{assertEquals, assertThrows}
import org.junit.jupiter.api.Test

import java.io.ByteArrayInputStream
import java.util.logging.Logger
import scala.jdk.CollectionConverters._

/** Functions are plain objects: a test makes one, and the request that it wants. */
class FunctionsTest {
  private def request(method: String, path: Map[String, Any] = Map.empty, query: Map[String, Any] = Map.empty): Context =
    new ContextImpl(
      Map[Object, Object](
        "request-method" -> method,
        "headers" -> Map.empty.asJava,
        "parameters" -> Map("path" -> path.asJava, "query" -> query.asJava).asJava
      ).asJava,
      Logger.getAnonymousLogger
    )

  @Test def simpleGet(): Unit = {
    val answer = new SimpleGet().apply(null, request("get", Map("num" -> Long.MaxValue), Map("cool" -> "yes")))
    assertEquals(Some(Long.MaxValue), answer.get("num-param"))
    assertEquals(Some(java.util.Map.of("cool", "yes")), answer.get("query-params"))
  }

  @Test def postOrDelete(): Unit = {
    val function = new PostOrDelete
    val path = Map("cnt" -> 2L)
    assertEquals(
      Seq(Data("Ann1", 9007199254740994L), Data("Ann2", 9007199254740995L)),
      function.apply(Data("Ann", 9007199254740993L), request("post", path)))
    assertEquals(Data("Deleted 2", 2), function.apply(null, request("delete", path)))
    function.apply(null, request("get", path)) match {
      case refusal: MetaResponse =>
        assertEquals(400, refusal.getResponseCode)
        assertEquals("Expecting a POST or DELETE, but got get", new String(refusal.getBody))
      case other => throw new AssertionError(other)
    }
  }

  @Test def jsonKeepsDigits(): Unit = {
    val record = new Record
    val text = """{"id":9007199254740993,"text":"Grüße","ratio":0.1,"tags":["a"]}"""
    val content = record.jsonDecoder.apply(new ByteArrayInputStream(text.getBytes("UTF-8")))
    assertEquals(Content(9007199254740993L, "Grüße", 0.1, List("a")), content)
    assertEquals(text, new String(record.jsonEncoder.apply(content), "UTF-8"))
  }

  @Test def visitsNeedADatabase(): Unit = {
    val e = assertThrows(classOf[StatusException], () => new ListVisits().apply(null, request("get", query = Map("limit" -> 1))))
    assertEquals(503, e.status)
  }
}
