// Show a GLB in a canvas with three.js. Frames are drawn only when something changed.
//
// `<model-viewer>` 4.4.0 was measured instead: 290 kB as sent (gzip), of which three.js is 170 kB, which this viewer needs
// in any case. It has no wireframe, normals or texture coordinates, no list of a scene's objects and no view from the
// photo's camera, so it would come on top of this code rather than in its place.

import {
  Box3, BoxGeometry, EdgesGeometry, GLTFLoader, LineBasicMaterial, LineSegments, Matrix4, MeshoptDecoder,
  NeutralToneMapping, OrbitControls, PerspectiveCamera, Quaternion, Scene, Spherical, Vector3, WebGLRenderer,
} from "../vendor/three.js";
import { Ground } from "./ground.js";
import * as looks from "./looks.js";
import { makeRoomLight } from "./room.js";

const FIELD_OF_VIEW = 35; // degrees
const FRONT = new Vector3(0.45, 0.3, 1); // the side that the photo saw faces +z
const ROOM = 1.08; // radius of the view, in radii of the model
const LABEL_ROOM = { wide: 1.12, upright: 1.3 }; // more of the radius, for the labels of the dimensions beside the model
const NEAREST = 0.3; // smallest distance of the camera, in distances of the first view
const FARTHEST = 4; // largest distance of the camera, in distances of the first view
const ZOOM_STEP = 1.25; // factor of the distance for one step
const TURN_STEP = Math.PI / 24; // radians
const MOST_PIXELS = 2; // pixels of the canvas for one of the page, along each side

export class Viewer {
  /** Throw an Error if the browser has no WebGL. sizeText: turns metres into a text. */
  constructor(canvas, sizeText) {
    this.canvas = canvas;
    this.sizeText = sizeText;
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: true });
    this.renderer.toneMapping = NeutralToneMapping;
    this.scene = new Scene();
    this.scene.environment = makeRoomLight(this.renderer);
    this.ground = new Ground(this.renderer);
    this.scene.add(this.ground.group);
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 100);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.controls.addEventListener("change", () => this.draw());
    this.controls.addEventListener("start", () => this.leavePhotoCamera());
    this.loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
    this.onPhotoCamera = () => {}; // called with whether the photo's camera is looked through
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  /** Show the model in a GLB (ArrayBuffer) from the front; return what the file says of itself, as in a report. */
  async show(glb) {
    const { scene, asset, cameras } = await this.loader.parseAsync(glb, "");
    this.#discard();
    this.report = asset.extras ?? {};
    this.model = scene;
    this.meshes = [];
    scene.traverse((object) => object.isMesh && this.meshes.push(object));
    this.meshes.forEach(looks.prepare);
    this.scene.add(scene);
    scene.updateMatrixWorld(true);
    this.box = new Box3().setFromObject(scene, true);
    this.centre = this.box.getCenter(new Vector3());
    this.radius = Math.max(...this.meshes.map((mesh) => reach(mesh, this.centre)));
    this.sized = (this.report.scale?.source ?? "unit") !== "unit";
    this.objects = "objects" in this.report ? scene.getObjectByName("scene").children.filter((node) => !node.isCamera && !hasCamera(node)) : [];
    this.photoCamera = photoCamera(this.report, cameras[0]);
    this.ground.fit(scene, this.box, this.sized, this.sizeText);
    this.gridShown = false;
    this.leavePhotoCamera();
    this.#resize();
    this.reset();
    return this.report;
  }

  /** Width, height and depth of the model, in its own unit. */
  get size() {
    return this.box.getSize(new Vector3()).toArray();
  }

  /** The model's texture image; null if it has none, or several. */
  get texture() {
    return this.meshes.length === 1 ? looks.textureOf(this.meshes[0]) : null;
  }

  /** One of `looks.LOOKS`. */
  set look(look) {
    for (const mesh of this.meshes) looks.show(mesh, look);
    this.draw();
  }

  set turning(on) {
    if (on) this.leavePhotoCamera();
    this.controls.autoRotate = on;
    this.draw();
  }

  set gridShown(on) {
    this.ground.grid.visible = on;
    this.draw();
  }

  reset() {
    this.leavePhotoCamera();
    const room = this.sized ? LABEL_ROOM[this.camera.aspect < 1 ? "upright" : "wide"] : 1;
    this.#look(this.centre, room * this.radius, FRONT);
  }

  /** Move the camera nearer by a number of steps, farther if negative. */
  zoom(steps) {
    this.#move((place) => (place.radius *= ZOOM_STEP ** -steps));
  }

  turn(right, up) {
    this.#move((place) => {
      place.theta += right * TURN_STEP;
      place.phi -= up * TURN_STEP;
    });
  }

  /** Turn to an angle about the vertical, in radians, and draw at once. */
  turnTo(theta) {
    this.#move((place) => (place.theta = theta));
    this.drawNow();
  }

  /** The angle of the camera about the vertical, in radians. */
  get angle() {
    return this.#place.theta;
  }

  // --- objects of a scene ---

  showObject(index, on) {
    this.objects[index].visible = on;
    this.draw();
  }

  /** Mark an object by its box; null for none. */
  markObject(index) {
    this.mark?.removeFromParent();
    this.mark?.geometry.dispose();
    this.mark = null;
    if (index !== null) {
      const box = new Box3().setFromObject(this.objects[index], true);
      const size = box.getSize(new Vector3());
      const edges = new EdgesGeometry(new BoxGeometry(...size.toArray()));
      this.mark = new LineSegments(edges, new LineBasicMaterial({ color: 0xd1663b, toneMapped: false }));
      box.getCenter(this.mark.position);
      this.scene.add(this.mark);
    }
    this.draw();
  }

  /** Look at one object of the scene from where the camera is. */
  frameObject(index) {
    this.leavePhotoCamera();
    const box = new Box3().setFromObject(this.objects[index], true);
    const direction = this.camera.position.clone().sub(this.controls.target);
    this.#look(box.getCenter(new Vector3()), box.getSize(new Vector3()).length() / 2, direction);
  }

  // --- the photo's camera ---

  /** Look through the camera of the photo, whose picture then fills the canvas as far as it fits. */
  enterPhotoCamera() {
    this.controls.autoRotate = false;
    this.throughPhoto = true;
    this.ground.group.visible = false; // it was not in the photo
    if (this.mark) this.mark.visible = false;
    this.onPhotoCamera(true);
    this.#aim();
    this.draw();
  }

  leavePhotoCamera() {
    if (!this.throughPhoto) return;
    this.throughPhoto = false;
    this.ground.group.visible = true;
    if (this.mark) this.mark.visible = true;
    this.camera.fov = FIELD_OF_VIEW;
    this.#resize();
    this.#look(this.centre, this.radius, this.camera.position.clone().sub(this.centre));
    this.onPhotoCamera(false);
  }

  /** Return where the photo lies on the canvas, in pixels of the page: {left, top, width, height}. */
  photoFrame() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    const { width, height } = this.photoCamera;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    const size = { width: scale * width, height: scale * height };
    return { left: (clientWidth - size.width) / 2, top: (clientHeight - size.height) / 2, ...size };
  }

  #aim() {
    const { matrix, width, height, fx, fy, cx, cy, near } = this.photoCamera;
    const frame = this.photoFrame();
    const scale = frame.width / width; // pixels of the page for one of the photo
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    matrix.decompose(this.camera.position, this.camera.quaternion, new Vector3());
    const far = this.camera.position.distanceTo(this.centre) + 4 * this.radius;
    // The sides of the picture in photo's pixels from its principal point, and a pixel's width at a distance of `near`.
    const left = -(frame.left / scale + cx) / fx;
    const top = (frame.top / scale + cy) / fy;
    const [right, bottom] = [left + clientWidth / scale / fx, top - clientHeight / scale / fy];
    this.camera.projectionMatrix.makePerspective(left * near, right * near, top * near, bottom * near, near, far);
    this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    this.camera.updateMatrixWorld();
  }

  // --- drawing ---

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      // fires "change" if the camera moved, which requests the next frame
      const moving = !this.throughPhoto && this.controls.update();
      this.drawNow();
      if (moving || this.controls.autoRotate) this.draw();
    });
  }

  drawNow() {
    this.renderer.render(this.scene, this.camera);
  }

  /** Draw before a colour of CSS; null for none. */
  set backdrop(colour) {
    this.renderer.setClearColor(colour ?? 0x000000, colour ? 1 : 0);
  }

  get #place() {
    return new Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
  }

  #move(change) {
    this.leavePhotoCamera();
    const place = this.#place;
    change(place.makeSafe());
    place.radius = Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, place.radius));
    this.camera.position.setFromSpherical(place.makeSafe()).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  /** Look at a ball from a direction. */
  #look(centre, radius, direction) {
    const distance = (ROOM * radius) / Math.sin((Math.min(this.#angle, FIELD_OF_VIEW) * Math.PI) / 360);
    this.camera.position.copy(direction).setLength(distance).add(centre);
    this.controls.target.copy(centre);
    Object.assign(this.controls, { minDistance: NEAREST * distance, maxDistance: FARTHEST * distance });
    this.camera.near = distance / 100;
    this.camera.far = FARTHEST * distance + 4 * this.radius;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.draw();
  }

  /** The horizontal field of view, degrees. */
  get #angle() {
    return (360 / Math.PI) * Math.atan(Math.tan((FIELD_OF_VIEW * Math.PI) / 360) * this.camera.aspect);
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    if (!width || !height) return; // hidden
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, MOST_PIXELS));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    if (this.throughPhoto) this.#aim();
    else this.camera.updateProjectionMatrix();
    this.draw();
  }

  /** Free the memory of the previous model. */
  #discard() {
    if (!this.model) return;
    this.markObject(null);
    this.scene.remove(this.model);
    this.meshes.forEach(looks.discard);
  }
}

const hasCamera = (node) => node.children.some((child) => child.isCamera);

/**
 * Return the photo's camera in the frame of the file: its matrix, and the photo's size, focal lengths and principal point
 * in pixels; null where the report does not have them. inScene: the camera that a scene's file holds.
 */
function photoCamera(report, inScene) {
  const { camera, pose } = report;
  if (!camera || (!pose && !inScene)) return null;
  const matrix = inScene ? inScene.matrixWorld.clone() : inverse(pose);
  const unit = pose ? 1 / pose.scale[0] : 1; // one unit of the camera's frame, in the file's
  return { ...camera, matrix, near: 0.01 * unit };
}

/** Return the camera's transform in the frame of an object that has a pose before the camera. */
function inverse({ rotation: [w, x, y, z], translation, scale }) {
  const placed = new Matrix4().compose(new Vector3(...translation), new Quaternion(x, y, z, w), new Vector3(...scale));
  return placed.invert();
}

/** Return the distance of the mesh's farthest vertex from a point. */
function reach(mesh, point) {
  const { position } = mesh.geometry.attributes;
  const vertex = new Vector3();
  let farthest = 0;
  for (let i = 0; i < position.count; i += 1) {
    vertex.fromBufferAttribute(position, i).applyMatrix4(mesh.matrixWorld);
    farthest = Math.max(farthest, vertex.distanceTo(point));
  }
  return farthest;
}
