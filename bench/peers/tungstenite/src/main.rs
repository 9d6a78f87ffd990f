//! What comes on /pub goes to everybody on /sub. One thread, as all servers here have one core.
//!
//!     tungstenite-fanout ADDRESS | --version

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_hdr_async_with_config, WebSocketStream};

const VERSION: &str = "tokio-tungstenite 0.27.0, tokio 1.47.1"; // as Cargo.toml has them
const BACKLOG: u32 = 4096;
const READ_BUFFER: usize = 4096; // of each connection; 128 KiB by default
const QUEUE: usize = 1024; // messages; who is further behind is cut off

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: tungstenite-fanout ADDRESS");
    if address == "--version" {
        println!("{VERSION}");
        return Ok(());
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.parse().expect("an IPv4 address and a port"))?;
    let listener = socket.listen(BACKLOG)?;
    let (sender, _) = broadcast::channel(QUEUE);
    let mut end = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                tokio::spawn(serve(stream, sender.clone()));
            }
            _ = end.recv() => return Ok(()),
        }
    }
}

/// Hears everything from before the handshake is answered on, so that nothing falls between.
async fn serve(stream: TcpStream, sender: Sender<Message>) {
    let receiver = sender.subscribe();
    let mut publishes = false;
    let _ = stream.set_nodelay(true);
    let answer = |request: &Request, response: Response| {
        publishes = request.uri().path() == "/pub";
        Ok(response)
    };
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let accepted = accept_hdr_async_with_config(stream, answer, Some(config)).await;
    let Ok(mut socket) = accepted else { return };
    if !publishes {
        subscribe(socket, receiver).await;
        return;
    }
    drop(receiver);
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            let _ = sender.send(message);
        }
    }
}

/// What is there leaves in one write.
async fn subscribe(socket: WebSocketStream<TcpStream>, mut receiver: Receiver<Message>) {
    let (mut sink, mut source) = socket.split();
    loop {
        tokio::select! {
            got = receiver.recv() => {
                let Ok(message) = got else { return };
                if sink.feed(message).await.is_err() {
                    return;
                }
                while let Ok(more) = receiver.try_recv() {
                    if sink.feed(more).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            heard = source.next() => {
                if !matches!(heard, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}
