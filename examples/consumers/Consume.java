import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Calls an API with the token of a mounted Secret, once a second: java Consume.java URL. Needs Java 11 or newer. */
class Consume {
    static final Path TOKEN_FILE =
        Path.of(System.getenv().getOrDefault("TOKEN_FILE", "/var/run/syniverse/accessToken"));
    static final HttpClient CLIENT = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

    /** The status of one request with the token that is in the file now. */
    static int request(URI url) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(url)
            .header("Authorization", "Bearer " + Files.readString(TOKEN_FILE))
            .timeout(Duration.ofSeconds(10))
            .build();
        return CLIENT.send(request, BodyHandlers.discarding()).statusCode();
    }

    /** The same, repeated once after a 401. */
    static int call(URI url) throws IOException, InterruptedException {
        var status = request(url);
        if (status == 401) {
            Thread.sleep(1000); // a new token may be on its way into the file
            status = request(url);
        }
        return status;
    }

    public static void main(String[] arguments) throws InterruptedException {
        var url = URI.create(arguments[0]);
        while (true) {
            try {
                System.out.println(call(url));
            } catch (IOException error) {
                System.out.println(error);
            }
            Thread.sleep(1000);
        }
    }
}
