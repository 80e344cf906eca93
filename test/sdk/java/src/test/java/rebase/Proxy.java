package rebase;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A relay between the SDK and the server that counts, keeps back and cuts. */
final class Proxy implements AutoCloseable {
  private final ServerSocket listener;
  private final List<Socket> sockets = new ArrayList<>();
  private ByteArrayOutputStream down = new ByteArrayOutputStream();

  /** While true, what the server sends is thrown away. */
  volatile boolean deaf;

  /** While true, new connections are dropped. */
  volatile boolean refuse;

  Proxy() throws IOException {
    listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
    daemon(this::accept);
  }

  int port() {
    return listener.getLocalPort();
  }

  private static void daemon(Runnable work) {
    Thread thread = new Thread(work);
    thread.setDaemon(true);
    thread.start();
  }

  private void accept() {
    while (true) {
      try {
        Socket client = listener.accept();
        if (refuse) {
          client.close();
          continue;
        }
        Socket server = new Socket("127.0.0.1", Client.PORT);
        synchronized (this) {
          sockets.add(client);
          sockets.add(server);
        }
        daemon(() -> relay(client, server, false));
        daemon(() -> relay(server, client, true));
      } catch (IOException e) {
        if (listener.isClosed()) {
          return;
        }
      }
    }
  }

  private void relay(Socket from, Socket to, boolean downstream) {
    byte[] buffer = new byte[65536];
    try (InputStream in = from.getInputStream();
        OutputStream out = to.getOutputStream()) {
      for (int n; (n = in.read(buffer)) >= 0; ) {
        if (downstream) {
          synchronized (this) {
            if (deaf) {
              continue;
            }
            down.write(buffer, 0, n);
          }
        }
        out.write(buffer, 0, n);
        out.flush();
      }
    } catch (IOException e) {
      // Either side went away: so does the other.
    }
  }

  /** Everything the server sent since the last call. Its frames are not masked, so they read as text. */
  synchronized String takeDown() {
    String text = down.toString(StandardCharsets.UTF_8);
    down = new ByteArrayOutputStream();
    return text;
  }

  synchronized void cut() {
    for (Socket socket : sockets) {
      try {
        socket.setSoLinger(true, 0);
        socket.close();
      } catch (IOException e) {
        // Already closed.
      }
    }
    sockets.clear();
  }

  @Override
  public void close() throws IOException {
    refuse = true;
    listener.close();
    cut();
  }
}
