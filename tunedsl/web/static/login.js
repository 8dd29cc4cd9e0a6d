// Exchanges the token for a session. A token after `#token=` leaves the address at once; the server never sees it there.
const form = document.getElementById("form"), field = document.getElementById("token"), said = document.getElementById("said");

async function open(token) {
  const response = await fetch("/api/login", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }),
  });
  if (response.ok) location.replace("/");
  else {
    said.textContent = (await response.json()).error;
    field.select();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  open(field.value);
});

function exchange() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  history.replaceState(null, "", location.pathname);
  open(given);
}

addEventListener("hashchange", exchange);
exchange();
