import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Drives RocketMQ's own store for the tests in tests/interop: one JSON object a line on standard input, one a line on
 * standard output. Every command has an `id`, which its answer repeats, a `do`, and the name of a `store`; commands to
 * one store are done one after the other, those to several stores side by side. tests/interop/java.rs lists them.
 */
public final class Driver {
    private static final class Lane {
        final OneStore store = new OneStore();
        final ExecutorService thread;

        Lane(String name) {
            thread = Executors.newSingleThreadExecutor(work -> {
                Thread thread = new Thread(work, "driver-" + name);
                thread.setDaemon(true);
                return thread;
            });
        }
    }

    private static final Map<String, Lane> LANES = new ConcurrentHashMap<>();
    private static PrintStream replies;

    public static void main(String[] args) throws Exception {
        replies = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        // Whatever the store or its libraries print must not stand among the replies.
        System.setOut(System.err);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            JSONObject command = JSON.parseObject(line);
            if ("halt".equals(command.getString("do"))) {
                break;
            }
            String name = command.getString("store");
            Lane lane = LANES.computeIfAbsent(name, Lane::new);
            boolean last = "close".equals(command.getString("do"));
            lane.thread.execute(() -> answer(lane.store, command));
            if (last) {
                // The thread keeps encoding buffers of its store alive: both go together.
                LANES.remove(name);
                lane.thread.shutdown();
            }
        }
        // Without a shutdown of any store, as a killed process leaves them.
        Runtime.getRuntime().halt(0);
    }

    private static void answer(OneStore store, JSONObject command) {
        JSONObject answer;
        try {
            answer = store.act(command);
        } catch (Throwable refused) {
            answer = new JSONObject();
            answer.put("error", String.valueOf(refused));
            answer.put("where", Stream.of(refused.getStackTrace()).limit(8).map(String::valueOf)
                .collect(Collectors.joining(", ")));
            answer.put("abort", store.abortWasThere());
        }
        answer.put("id", command.get("id"));
        synchronized (replies) {
            replies.println(answer.toJSONString());
            replies.flush();
        }
    }
}
