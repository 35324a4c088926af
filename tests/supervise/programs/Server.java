// SPDX-License-Identifier: Apache-2.0 OR MIT

import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;

/** Says hello, with a thread for each connection. */
public class Server {
    public static void main(String[] arguments) throws IOException {
        try (ServerSocket listener = new ServerSocket(7000, 50)) {
            boolean isTold = false;
            while (true) {
                try {
                    Socket connection = listener.accept();
                    new Thread(() -> greet(connection)).start();
                } catch (IOException gone) {
                    // Of a client that is gone it may be told once, where it was not without clients yet (docs/run.md).
                    if (isTold) {
                        throw gone;
                    }
                    isTold = true;
                }
            }
        }
    }

    private static void greet(Socket connection) {
        try (connection) {
            connection.getOutputStream().write("hello\n".getBytes());
            connection.getInputStream().read();
        } catch (IOException gone) {
            // The client's choice.
        }
    }
}
