import com.alibaba.fastjson.JSONArray;
import com.alibaba.fastjson.JSONObject;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.ConsumeQueueExt;
import org.apache.rocketmq.store.MessageFilter;

/** Messages as the tests write them, to and from RocketMQ's own. */
final class Messages {
    private Messages() {
    }

    /** Lets everything pass, and notes the tags code of each queue entry whose message is handed out. */
    static final class Tags implements MessageFilter {
        final List<Long> codes = new ArrayList<>();
        private Long last;

        @Override
        public boolean isMatchedByConsumeQueue(Long tagsCode, ConsumeQueueExt.CqExtUnit unit) {
            last = tagsCode;
            return true;
        }

        @Override
        public boolean isMatchedByCommitLog(ByteBuffer message, Map<String, String> properties) {
            codes.add(last);
            return true;
        }
    }

    static <M extends MessageExtBrokerInner> MessageExtBrokerInner fill(M message, JSONObject asked)
        throws UnknownHostException {
        message.setTopic(asked.getString("topic"));
        message.setQueueId(asked.getIntValue("queue"));
        message.setFlag(asked.getIntValue("flag"));
        message.setSysFlag(asked.getIntValue("sys"));
        message.setBornTimestamp(asked.getLongValue("born"));
        message.setBornHost(host(asked.getString("born_host")));
        message.setStoreHost(host(asked.getString("store_host")));
        message.setReconsumeTimes(asked.getIntValue("reconsume"));
        message.setPreparedTransactionOffset(asked.getLongValue("prepared"));
        JSONArray batch = asked.getJSONArray("batch");
        if (batch == null) {
            body(message, asked);
        } else {
            List<Message> parts = new ArrayList<>();
            for (int i = 0; i < batch.size(); i++) {
                JSONObject part = batch.getJSONObject(i);
                Message one = new Message();
                one.setTopic(message.getTopic());
                one.setFlag(part.getIntValue("flag"));
                body(one, part);
                parts.add(one);
            }
            message.setBody(MessageDecoder.encodeMessages(parts));
        }
        message.setPropertiesString(MessageDecoder.messageProperties2String(message.getProperties()));
        return message;
    }

    private static void body(Message message, JSONObject asked) {
        message.setBody(HexFormat.of().parseHex(asked.getString("body")));
        JSONObject properties = asked.getJSONObject("props");
        if (properties != null) {
            properties.forEach((name, value) -> MessageAccessor.putProperty(message, name, (String) value));
        }
        if (message.getProperties() == null) {
            MessageAccessor.setProperties(message, new java.util.HashMap<>());
        }
    }

    private static InetSocketAddress host(String text) throws UnknownHostException {
        int colon = text.lastIndexOf(':');
        String address = text.substring(0, colon).replace("[", "").replace("]", "");
        // A number and never a name: nothing is looked up.
        return new InetSocketAddress(InetAddress.getByName(address), Integer.parseInt(text.substring(colon + 1)));
    }

    private static String text(InetSocketAddress host) {
        String address = host.getAddress().getHostAddress();
        return (address.contains(":") ? "[" + address + "]" : address) + ":" + host.getPort();
    }

    /** What RocketMQ's own decoder makes of a record, and the checksum of all of its bytes. */
    static JSONObject describe(ByteBuffer record) {
        CRC32 crc = new CRC32();
        crc.update(record.duplicate());
        MessageExt message = MessageDecoder.decode(record.duplicate(), true, false, false, false, true);
        JSONObject line = new JSONObject();
        line.put("crc", crc.getValue());
        line.put("bytes", record.remaining());
        if (message == null) {
            line.put("broken", true);
            return line;
        }
        line.put("topic", message.getTopic());
        line.put("queue", message.getQueueId());
        line.put("queue_offset", message.getQueueOffset());
        line.put("offset", message.getCommitLogOffset());
        line.put("size", message.getStoreSize());
        line.put("flag", message.getFlag());
        line.put("sys", message.getSysFlag());
        line.put("born", message.getBornTimestamp());
        line.put("born_host", text((InetSocketAddress) message.getBornHost()));
        line.put("stored", message.getStoreTimestamp());
        line.put("store_host", text((InetSocketAddress) message.getStoreHost()));
        line.put("reconsume", message.getReconsumeTimes());
        line.put("prepared", message.getPreparedTransactionOffset());
        line.put("body", message.getBody() == null ? "" : HexFormat.of().formatHex(message.getBody()));
        JSONObject properties = new JSONObject(true);
        if (message.getProperties() != null) {
            properties.putAll(message.getProperties());
        }
        line.put("props", properties);
        return line;
    }
}
