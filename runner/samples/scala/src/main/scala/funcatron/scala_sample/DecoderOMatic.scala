package funcatron.scala_sample

import com.fasterxml.jackson.databind.json.JsonMapper
import com.fasterxml.jackson.module.scala.DefaultScalaModule
import funcatron.intf.Func

import java.io.InputStream
import java.util.function.Function

/** Case classes and Scala's collections as JSON, for functions that are mixed with it. */
trait DecoderOMatic[T] extends Func[T] {

  /** What the body is read into. */
  protected def ct: Class[T]

  override def jsonDecoder(): Function[InputStream, T] = in => DecoderOMatic.json.readValue(in, ct)

  override def jsonEncoder(): Function[Object, Array[Byte]] = value => DecoderOMatic.json.writeValueAsBytes(value)
}

object DecoderOMatic {
  private lazy val json = JsonMapper.builder().addModule(DefaultScalaModule).build()
}

/** A function that takes no body. */
trait Encoder extends DecoderOMatic[Object] {
  protected def ct: Class[Object] = classOf[Object]
}
