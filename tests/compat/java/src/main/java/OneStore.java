import com.alibaba.fastjson.JSONArray;
import com.alibaba.fastjson.JSONObject;
import java.io.File;
import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.common.BoundaryType;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExtBatch;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.store.AppendMessageResult;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.GetMessageStatus;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.SelectMappedBufferResult;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.queue.ConsumeQueueInterface;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/** One folder, opened by RocketMQ's store, and what a test may ask of it. */
final class OneStore {
    /** Shared: it only counts, and starts a thread for each of its own. */
    private static final BrokerStatsManager STATS = new BrokerStatsManager("driver", true);

    private DefaultMessageStore store;
    private boolean abortWasThere;

    boolean abortWasThere() {
        return abortWasThere;
    }

    JSONObject act(JSONObject command) throws Exception {
        switch (command.getString("do")) {
            case "open":
                return open(command);
            case "put":
                return put(command.getJSONArray("messages"));
            case "read":
                return read(command.getString("file"));
            case "query":
                return query(command.getJSONArray("asks"));
            case "time":
                return time(command.getJSONArray("asks"));
            case "look":
                return look(command.getJSONArray("offsets"), command.getString("file"));
            case "log":
                return log();
            case "flush":
                store.flush();
                return log();
            case "close":
                return close();
            default:
                throw new IllegalArgumentException("no such command: " + command);
        }
    }

    private JSONObject open(JSONObject command) throws Exception {
        Path dir = Path.of(command.getString("dir"));
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(dir.toString());
        config.setStorePathCommitLog(dir.resolve("commitlog").toString());
        // A free port: stores stand side by side, and nobody connects.
        config.setHaListenPort(0);
        // The machine's disk may be fuller than RocketMQ likes; it would remove segments.
        config.setCleanFileForciblyEnable(false);
        config.setDiskMaxUsedSpaceRatio(99);
        set(config, command.getJSONObject("config"));
        BrokerConfig broker = new BrokerConfig();
        set(broker, command.getJSONObject("broker"));
        abortWasThere = Files.exists(dir.resolve("abort"));
        // A broker has one store; what two of them share at their beginning is not made for two threads.
        synchronized (OneStore.class) {
            store = new DefaultMessageStore(config, STATS, null, broker, new ConcurrentHashMap<>());
            if (!store.load()) {
                throw new IllegalStateException("load answered false");
            }
            store.start();
        }
        JSONObject answer = log();
        answer.put("abort", abortWasThere);
        return answer;
    }

    /** Sets properties by their names in broker.conf; an unknown one is a fault of the test. */
    private static void set(Object target, JSONObject values) throws Exception {
        if (values == null) {
            return;
        }
        for (String name : values.keySet()) {
            String setter = "set" + Character.toUpperCase(name.charAt(0)) + name.substring(1);
            Method found = null;
            for (Method method : target.getClass().getMethods()) {
                Class<?>[] takes = method.getParameterTypes();
                if (method.getName().equals(setter) && takes.length == 1 && (found == null || takes[0] == String.class)) {
                    found = method;
                }
            }
            if (found == null) {
                throw new IllegalArgumentException("no such setting: " + name);
            }
            found.invoke(target, values.getObject(name, found.getParameterTypes()[0]));
        }
    }

    /** Puts messages in their order, waits for all of them together, and tells what the store answered to each. */
    private JSONObject put(JSONArray messages) throws Exception {
        List<CompletableFuture<PutMessageResult>> under = new ArrayList<>();
        for (int i = 0; i < messages.size(); i++) {
            JSONObject asked = messages.getJSONObject(i);
            under.add(asked.containsKey("batch")
                ? store.asyncPutMessages((MessageExtBatch) Messages.fill(new MessageExtBatch(), asked))
                : store.asyncPutMessage(Messages.fill(new MessageExtBrokerInner(), asked)));
        }
        JSONArray results = new JSONArray();
        for (CompletableFuture<PutMessageResult> one : under) {
            PutMessageResult put = one.get();
            JSONObject result = new JSONObject();
            result.put("status", put.getPutMessageStatus().name());
            AppendMessageResult done = put.getAppendMessageResult();
            if (done != null) {
                result.put("append", done.getStatus().name());
                result.put("offset", done.getWroteOffset());
                result.put("size", done.getWroteBytes());
                result.put("queue_offset", done.getLogicsOffset());
                result.put("stored", done.getStoreTimestamp());
                result.put("count", done.getMsgNum());
                result.put("ids", done.getMsgId());
            }
            results.add(result);
        }
        JSONObject answer = new JSONObject();
        answer.put("results", results);
        return answer;
    }

    /** Until queues and index have what the log has; reading any earlier would ask for half of it. */
    private void settle() throws InterruptedException {
        long until = System.nanoTime() + 120_000_000_000L;
        while (store.dispatchBehindBytes() > 0) {
            if (System.nanoTime() > until) {
                throw new IllegalStateException("dispatch stays " + store.dispatchBehindBytes() + " bytes behind");
            }
            Thread.sleep(1);
        }
    }

    private JSONObject read(String file) throws Exception {
        settle();
        int queues = 0;
        long count = 0;
        try (PrintWriter out = new PrintWriter(file, StandardCharsets.UTF_8)) {
            for (var topic : new TreeMap<>(store.getConsumeQueueTable()).entrySet()) {
                for (var queue : new TreeMap<>(topic.getValue()).entrySet()) {
                    count += readQueue(topic.getKey(), queue.getKey(), out);
                    queues += 1;
                }
            }
        }
        JSONObject answer = log();
        answer.put("queues", queues);
        answer.put("messages", count);
        return answer;
    }

    /** One line for the queue, one for each message, as a consumer that pulls 32 at a time meets them. */
    private long readQueue(String topic, int id, PrintWriter out) throws Exception {
        long least = store.getMinOffsetInQueue(topic, id);
        long next = store.getMaxOffsetInQueue(topic, id);
        JSONArray odd = new JSONArray();
        List<JSONObject> lines = new ArrayList<>();
        long at = least;
        while (at < next) {
            Messages.Tags tags = new Messages.Tags();
            GetMessageResult got = store.getMessage("group", topic, id, at, 32, tags);
            try {
                if (got.getStatus() != GetMessageStatus.FOUND) {
                    odd.add(got.getStatus() + " at " + at + ", next " + got.getNextBeginOffset());
                }
                for (int i = 0; i < got.getMessageCount(); i++) {
                    JSONObject line = Messages.describe(got.getMessageBufferList().get(i));
                    line.put("at", got.getMessageQueueOffset().get(i));
                    line.put("tags_code", tags.codes.get(i));
                    lines.add(line);
                }
            } finally {
                got.release();
            }
            if (got.getNextBeginOffset() <= at) {
                break;
            }
            at = got.getNextBeginOffset();
        }
        JSONObject head = new JSONObject();
        head.put("queue", id);
        head.put("topic", topic);
        head.put("min", least);
        head.put("max", next);
        head.put("odd", odd);
        head.put("messages", lines.size());
        out.println(head.toJSONString());
        for (JSONObject line : lines) {
            out.println(line.toJSONString());
        }
        return lines.size();
    }

    /** For each ask, the log offsets in the order in which Java gives them. */
    private JSONObject query(JSONArray asks) throws Exception {
        settle();
        JSONArray found = new JSONArray();
        for (int i = 0; i < asks.size(); i++) {
            JSONObject ask = asks.getJSONObject(i);
            QueryMessageResult result = store.queryMessage(ask.getString("topic"), ask.getString("key"),
                ask.getIntValue("max"), ask.getLongValue("begin"), ask.getLongValue("end"));
            JSONArray offsets = new JSONArray();
            for (ByteBuffer buffer : result.getMessageBufferList()) {
                offsets.add(buffer.getLong(buffer.position() + MessageDecoder.PHY_POS_POSITION));
            }
            result.release();
            found.add(offsets);
        }
        JSONObject answer = new JSONObject();
        answer.put("found", found);
        return answer;
    }

    private JSONObject time(JSONArray asks) throws Exception {
        settle();
        JSONArray found = new JSONArray();
        for (int i = 0; i < asks.size(); i++) {
            JSONObject ask = asks.getJSONObject(i);
            BoundaryType bound = ask.getBooleanValue("upper") ? BoundaryType.UPPER : BoundaryType.LOWER;
            found.add(store.getOffsetInQueueByTime(ask.getString("topic"), ask.getIntValue("queue"),
                ask.getLongValue("at"), bound));
        }
        JSONObject answer = new JSONObject();
        answer.put("found", found);
        return answer;
    }

    /** The records at these places of the log: half messages are in no queue. */
    private JSONObject look(JSONArray offsets, String file) throws Exception {
        int count = 0;
        try (PrintWriter out = new PrintWriter(file, StandardCharsets.UTF_8)) {
            for (int i = 0; i < offsets.size(); i++) {
                SelectMappedBufferResult raw = store.selectOneMessageByOffset(offsets.getLongValue(i));
                if (raw == null) {
                    out.println("null");
                    continue;
                }
                out.println(Messages.describe(raw.getByteBuffer()).toJSONString());
                raw.release();
                count += 1;
            }
        }
        JSONObject answer = new JSONObject();
        answer.put("messages", count);
        return answer;
    }

    private JSONObject log() {
        JSONObject answer = new JSONObject();
        answer.put("first", store.getMinPhyOffset());
        answer.put("end", store.getMaxPhyOffset());
        answer.put("behind", store.dispatchBehindBytes());
        return answer;
    }

    /** As a broker ends, one that was refused, too. */
    private JSONObject close() throws Exception {
        JSONObject answer = new JSONObject();
        if (store != null) {
            String root = store.getMessageStoreConfig().getStorePathRootDir();
            store.shutdown();
            answer.put("clean", !new File(root, "abort").exists());
        }
        return answer;
    }
}
