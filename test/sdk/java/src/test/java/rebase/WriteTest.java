package rebase;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.api.core.ApiFuture;
import com.google.firebase.database.DataSnapshot;
import com.google.firebase.database.DatabaseReference;
import com.google.firebase.database.ServerValue;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Writes of every kind, and the values that come back. */
class WriteTest {
  private final String ns = Client.namespace();
  private final Client a = new Client(ns);
  private final Client b = new Client(ns);

  @AfterEach
  void close() {
    a.close();
    b.close();
  }

  @Test
  void setAndReadBack() {
    Map<String, Object> value =
        Map.of("text", "ü😀", "n", 1.5, "i", 7L, "yes", true, "deep", Map.of("er", "x"), "list", List.of("p", "q"));
    a.set("x", value);
    assertEquals(value, Client.once(b.ref("x")).getValue());
    assertEquals("x", Client.once(b.ref("x/deep/er")).getValue());
    assertFalse(Client.once(b.ref("nothing")).exists());
  }

  @Test
  void updateRemovePush() {
    a.set("u", Map.of("a", 1, "b", Map.of("c", 2, "d", 3)));
    Map<String, Object> changes = new HashMap<>();
    changes.put("a", null);
    changes.put("b/c", 20);
    changes.put("n/e/w", true);
    Client.await(a.ref("u").updateChildrenAsync(changes));
    assertEquals(
        Map.of("b", Map.of("c", 20L, "d", 3L), "n", Map.of("e", Map.of("w", true))), Client.once(b.ref("u")).getValue());
    Client.await(a.ref("u/b").removeValueAsync());
    assertEquals(Map.of("n", Map.of("e", Map.of("w", true))), Client.once(b.ref("u")).getValue());
    List<String> keys = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      DatabaseReference pushed = a.ref("list").push();
      Client.await(pushed.setValueAsync(i));
      keys.add(pushed.getKey());
    }
    assertEquals(keys, Client.keys(Client.once(b.ref("list"))));
  }

  @Test
  void integersOfSixtyFourBitsKeepTheirDigits() {
    for (long n : new long[] {Long.MAX_VALUE, Long.MIN_VALUE, (1L << 53) + 1, 1L << 31, -1, 0}) {
      a.set("n", n);
      assertEquals(n, Client.once(b.ref("n")).getValue());
    }
  }

  @Test
  void doublesBeyondSixtyFourBitsStayDoubles() {
    // The SDK itself reads 2^63 as the largest long, so the next one up is the first to test.
    for (double n : new double[] {Math.nextUp(0x1p63), Math.nextDown(-0x1p63), 9.3e18, 1e19, -1e19, 1e20, 123456789012345678901234.0, 1e300, 5e-324}) {
      a.set("n", n);
      Object got = Client.once(b.ref("n")).getValue();
      assertInstanceOf(Double.class, got, "value " + n);
      assertEquals(n, got);
      // As part of an object, too, and beside other members.
      a.set("o", Map.of("a", n, "b", "c"));
      assertEquals(Map.of("a", n, "b", "c"), Client.once(b.ref("o")).getValue());
    }
  }

  @Test
  void integralDoublesAreIntegers() {
    a.set("n", 2147483648.0);
    assertEquals(2147483648L, Client.once(b.ref("n")).getValue());
    a.set("n", -0.0);
    assertEquals(0L, ((Number) Client.once(b.ref("n")).getValue()).longValue());
  }

  /** This SDK has no increment: only the time is the server's. */
  @Test
  void serverTimestamps() {
    Map<String, Object> changes = new HashMap<>();
    changes.put("at", ServerValue.TIMESTAMP);
    changes.put("deep/at", ServerValue.TIMESTAMP);
    List<DataSnapshot> own = Client.values(a.ref("x"));
    Client.await(a.ref("x").updateChildrenAsync(changes));
    DataSnapshot got = Client.once(b.ref("x"));
    long at = (Long) got.child("at").getValue();
    assertEquals(at, got.child("deep/at").getValue());
    assertTrue(Math.abs(at - System.currentTimeMillis()) < 60_000);
    Client.until(() -> got.getValue().equals(Client.last(own)), () -> "the truth in place of the writer's guess");
    Client.await(a.ref("p").setValueAsync("v", ServerValue.TIMESTAMP));
    assertTrue(Math.abs(((Number) Client.once(b.ref("p")).getPriority()).longValue() - System.currentTimeMillis()) < 60_000);
  }

  @Test
  void manyConcurrentWritesAllArrive() {
    List<ApiFuture<Void>> writes = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      writes.add(a.ref("n/a" + i).setValueAsync(i));
      writes.add(b.ref("n/b" + i).setValueAsync(i));
    }
    writes.forEach(Client::await);
    assertEquals(400, Client.fresh(ns, "n").getChildrenCount());
  }

  @Test
  void priorities() {
    Client.await(a.ref("p/a").setValueAsync("a", 3));
    Client.await(a.ref("p/b").setValueAsync(Map.of("v", 1), "text"));
    Client.await(a.ref("p/c").setValueAsync("c", 1.5));
    a.set("p/d", "d");
    DataSnapshot got = Client.once(b.ref("p").orderByPriority());
    assertEquals(List.of("d", "c", "a", "b"), Client.keys(got));
    assertEquals(3.0, ((Number) got.child("a").getPriority()).doubleValue());
    assertEquals(1.5, got.child("c").getPriority());
    assertEquals("text", got.child("b").getPriority());
    Client.await(a.ref("p/a").setPriorityAsync("z"));
    assertEquals(List.of("d", "c", "b", "a"), Client.keys(Client.fresh(ns, "p")));
    Client.await(a.ref("p/b").setPriorityAsync(null));
    assertNull(Client.fresh(ns, "p/b").getPriority());
    a.set("p/a", "plain");
    assertNull(Client.fresh(ns, "p/a").getPriority());
  }

  @Test
  void aPriorityWhereNothingIsFails() {
    assertThrows(AssertionError.class, () -> Client.await(a.ref("none").setPriorityAsync(5)));
    assertFalse(Client.fresh(ns, "").exists());
  }

  @Test
  void largeValues() {
    // The SDK cuts its frames every 16384 characters, so pairs may fall on a border: only whole ones are used here.
    String text = "aü€".repeat(1_600_000);
    a.set("x", text);
    assertEquals(text, Client.once(b.ref("x")).getValue());
    List<DataSnapshot> seen = Client.values(b.ref("y"));
    Map<String, Object> wide = new HashMap<>();
    for (int i = 0; i < 5000; i++) {
      wide.put("k" + i, Map.of("i", (long) i, "text", "child " + i));
    }
    a.set("y", wide);
    Client.until(() -> wide.equals(Client.last(seen)), () -> "the push");
  }
}
